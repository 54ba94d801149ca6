// CRC-32C over the values of a row: what tells a damaged row from a good one.
#pragma once

#include <boost/crc.hpp>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace agentruntime::sqlite {

// Values are added in the order of their columns, each with its type and length, so that no two different rows feed the same bytes.
class Checksum {
 public:
  void Add(int64_t value);
  void Add(absl::string_view bytes);
  void AddNull();

  // Fits SQLite's INTEGER without a sign.
  int64_t value() const { return crc_.checksum(); }

 private:
  // Castagnoli's polynomial, bits reflected.
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc_;
};

}  // namespace agentruntime::sqlite
