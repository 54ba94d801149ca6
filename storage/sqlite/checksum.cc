#include "storage/sqlite/checksum.h"

namespace agentruntime::sqlite {
namespace {

// Tags keep a NULL, a number and a text of the same bytes apart.
enum : uint8_t { kNull = 0, kInteger = 1, kBytes = 2 };

}  // namespace

void Checksum::Add(int64_t value) {
  uint8_t bytes[9] = {kInteger};
  for (int i = 0; i < 8; ++i) bytes[i + 1] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i));
  crc_.process_bytes(bytes, sizeof(bytes));
}

void Checksum::Add(absl::string_view data) {
  uint8_t head[5] = {kBytes};
  for (int i = 0; i < 4; ++i) head[i + 1] = static_cast<uint8_t>(data.size() >> (8 * i));
  crc_.process_bytes(head, sizeof(head));
  crc_.process_bytes(data.data(), data.size());
}

void Checksum::AddNull() {
  const uint8_t tag = kNull;
  crc_.process_byte(tag);
}

}  // namespace agentruntime::sqlite
