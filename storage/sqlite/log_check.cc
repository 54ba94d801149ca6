#include "storage/sqlite/log_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace agentruntime::sqlite {
namespace {

// Of SQLite's documented file format.
constexpr size_t kHeaderBytes = 32;
constexpr size_t kHeaderSummedBytes = 24;
constexpr size_t kFrameHeaderBytes = 24;
constexpr size_t kFrameSummedBytes = 8;
constexpr size_t kCommitOffset = 4;
constexpr size_t kFrameSaltOffset = 8;
constexpr size_t kFrameSumOffset = 16;
constexpr size_t kHeaderSaltOffset = 16;
constexpr size_t kSaltBytes = 8;
constexpr uint32_t kMagic = 0x377f0682;  // the lowest bit: sums are of big-endian words
constexpr size_t kPageBytesMin = 512;
constexpr size_t kPageBytesMax = 65536;
// Behind the first frame that does not fit so much is looked at.
constexpr int64_t kLookBytesMax = 64 << 20;

struct Sum {
  uint32_t first = 0;
  uint32_t second = 0;
  bool operator==(const Sum&) const = default;
};

uint32_t BigEndian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 | static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}
uint32_t LittleEndian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[3]) << 24 | static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[1]) << 8 | bytes[0];
}

void PutBigEndian(uint32_t value, uint8_t* bytes) {
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

Sum SumAt(const uint8_t* bytes) { return {BigEndian(bytes), BigEndian(bytes + 4)}; }

Sum Add(Sum sum, const uint8_t* bytes, size_t size, bool big_endian) {
  for (const uint8_t* end = bytes + size; bytes < end; bytes += 8) {
    sum.first += (big_endian ? BigEndian(bytes) : LittleEndian(bytes)) + sum.second;
    sum.second += (big_endian ? BigEndian(bytes + 4) : LittleEndian(bytes + 4)) + sum.first;
  }
  return sum;
}

int BitsApart(const uint8_t* a, const uint8_t* b, size_t size) {
  int bits = 0;
  for (size_t i = 0; i < size; ++i) bits += std::popcount(static_cast<uint8_t>(a[i] ^ b[i]));
  return bits;
}

// The log, or the database.
class File {
 public:
  explicit File(const std::string& path) : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }
  bool Read(void* data, size_t size, int64_t offset) const { return pread(descriptor_, data, size, offset) == static_cast<ssize_t>(size); }

 private:
  const int descriptor_;
};

struct Header {
  uint8_t bytes[kHeaderBytes];

  bool big_endian() const { return (BigEndian(bytes) & 1) != 0; }
  size_t page_bytes() const { return BigEndian(bytes + 8); }
  const uint8_t* salts() const { return bytes + kHeaderSaltOffset; }
  bool Fits() const {
    const size_t page = page_bytes();
    return (BigEndian(bytes) & ~1u) == kMagic && page >= kPageBytesMin && page <= kPageBytesMax && (page & (page - 1)) == 0 &&
           Add({}, bytes, kHeaderSummedBytes, big_endian()) == SumAt(bytes + kHeaderSummedBytes);
  }
};

// Frames of one log, whose header fits.
class Frames {
 public:
  Frames(const File& log, const Header& header) : log_(log), header_(header), frame_(kFrameHeaderBytes + header.page_bytes()) {}

  // False at the end of the file.
  bool Load(int64_t number) {
    return log_.Read(frame_.data(), frame_.size(), static_cast<int64_t>(kHeaderBytes) + number * static_cast<int64_t>(frame_.size()));
  }
  // Of the loaded frame:
  bool Ours() const { return memcmp(frame_.data() + kFrameSaltOffset, header_.salts(), kSaltBytes) == 0; }
  bool Commits() const { return pages() != 0; }
  uint32_t page() const { return BigEndian(frame_.data()); }
  // Of the database behind a commit, 0 of any other frame.
  uint32_t pages() const { return BigEndian(frame_.data() + kCommitOffset); }
  bool Holds(const std::vector<uint8_t>& content) const { return std::equal(content.begin(), content.end(), frame_.begin() + kFrameHeaderBytes, frame_.end()); }
  Sum Stored() const { return SumAt(frame_.data() + kFrameSumOffset); }
  bool Follows(Sum previous) const {
    const Sum head = Add(previous, frame_.data(), kFrameSummedBytes, header_.big_endian());
    return Add(head, frame_.data() + kFrameHeaderBytes, header_.page_bytes(), header_.big_endian()) == Stored();
  }
  // If the loaded frame follows but for one bit, turns that round in memory and says so.
  bool RepairOneBit(Sum previous) {
    const Sum stored = Stored();
    Sum sum = Add(previous, frame_.data(), kFrameSummedBytes, header_.big_endian());
    sum = Add(sum, frame_.data() + kFrameHeaderBytes, header_.page_bytes(), header_.big_endian());
    if (!Ours()) {
      if (sum != stored || BitsApart(frame_.data() + kFrameSaltOffset, header_.salts(), kSaltBytes) != 1) return false;
      memcpy(frame_.data() + kFrameSaltOffset, header_.salts(), kSaltBytes);
      return true;
    }
    if (std::popcount(stored.first ^ sum.first) + std::popcount(stored.second ^ sum.second) == 1) {
      PutBigEndian(sum.first, frame_.data() + kFrameSumOffset);
      PutBigEndian(sum.second, frame_.data() + kFrameSumOffset + 4);
      return true;
    }
    // The sums are linear: a word that is larger by d, with m pairs of words behind it, makes them larger by d times the m-th power of {{1, 1}, {1, 2}}
    // times (1, 1) if it is the first of its pair, or (0, 1).
    const Sum missing = {stored.first - sum.first, stored.second - sum.second};
    Sum first = {1, 1};
    Sum second = {0, 1};
    for (size_t at = frame_.size(); at > 0;) {
      at -= at == kFrameHeaderBytes ? kFrameHeaderBytes : 8;
      if (TurnOneBit(frame_.data() + at, first, missing) || TurnOneBit(frame_.data() + at + 4, second, missing)) return true;
      first = {first.first + first.second, first.first + 2 * first.second};
      second = {second.first + second.second, second.first + 2 * second.second};
    }
    return false;
  }
  int64_t bytes() const { return static_cast<int64_t>(frame_.size()); }

 private:
  // If one bit of the word, each 1 of which weighs `weight` in the sums, makes up for `missing`: turns it round.
  bool TurnOneBit(uint8_t* bytes, Sum weight, Sum missing) const {
    const uint32_t word = header_.big_endian() ? BigEndian(bytes) : LittleEndian(bytes);
    for (int bit = 0; bit < 32; ++bit) {
      const uint32_t one = uint32_t{1} << bit;
      const uint32_t change = (word & one) != 0 ? 0 - one : one;
      if (weight.first * change != missing.first || weight.second * change != missing.second) continue;
      bytes[header_.big_endian() ? 3 - bit / 8 : bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      return true;
    }
    return false;
  }

  const File& log_;
  const Header& header_;
  std::vector<uint8_t> frame_;
};

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, "-wal: is damaged (", what,
                                          "), so transactions that were acknowledged would be forgotten; restore the database and its log from a backup, or "
                                          "move the log away to go on without them"));
}

// The end of a transaction and the beginning of the next one are behind the first frame that does not fit, which is loaded.
bool GoesOnBehind(Frames& frames, int64_t number, Sum previous) {
  const int64_t end = number + std::max<int64_t>(1, kLookBytesMax / frames.bytes());
  // The highest bit of a word moves the sums by one bit too, as one of their own does. So the next frame may follow them as they were or as they are repaired.
  const Sum as_stored = frames.Stored();
  bool after_commit = frames.RepairOneBit(previous) && frames.Commits();
  previous = frames.Stored();
  const int64_t next = ++number;
  for (; number < end && frames.Load(number); ++number) {
    const bool follows = frames.Ours() && (frames.Follows(previous) || (number == next && frames.Follows(as_stored)));
    if (follows && after_commit) return true;
    after_commit = follows && frames.Commits();
    previous = frames.Stored();
  }
  return false;
}

// Whether the database has every page as the last transaction of the log left it.
bool IsCopied(Frames& frames, const Header& header, const std::string& database_path) {
  std::map<uint32_t, int64_t> written;  // the last frame of each page
  std::map<uint32_t, int64_t> open;     // the same of a transaction that is not committed yet
  uint32_t pages = 0;
  Sum previous = SumAt(header.bytes + kHeaderSummedBytes);
  for (int64_t number = 0; frames.Load(number) && frames.Ours() && frames.Follows(previous); ++number) {
    previous = frames.Stored();
    open[frames.page()] = number;
    if (!frames.Commits()) continue;
    pages = frames.pages();
    for (const auto& [page, frame] : std::exchange(open, {})) written[page] = frame;
  }
  const File database(database_path);
  std::vector<uint8_t> content(header.page_bytes());
  for (const auto& [page, frame] : written) {
    if (page > pages) continue;  // cut off later
    const int64_t offset = (int64_t{page} - 1) * static_cast<int64_t>(content.size());
    if (!frames.Load(frame) || !database.Read(content.data(), content.size(), offset) || !frames.Holds(content)) return false;
  }
  return true;
}

// One bit of the header is wrong, and with it turned round the first frame follows: that was written when the header was synced. A log that is begun anew has
// such a header too: SQLite counts its fourth word up by one, and a write that is torn behind it changes one bit. But then all of the log was copied before.
bool HeaderHasTurnedBit(const File& log, Header header, const std::string& database_path) {
  for (size_t bit = 0; bit < sizeof(header.bytes) * 8; ++bit) {
    const auto mask = static_cast<uint8_t>(1 << bit % 8);
    header.bytes[bit / 8] ^= mask;
    if (header.Fits()) {
      Frames frames(log, header);
      if (frames.Load(0) && frames.Ours() && frames.Follows(SumAt(header.bytes + kHeaderSummedBytes))) return !IsCopied(frames, header, database_path);
    }
    header.bytes[bit / 8] ^= mask;
  }
  return false;
}

}  // namespace

absl::Status CheckLog(const std::string& database_path) {
  const File log(database_path + "-wal");
  if (log.descriptor() < 0) return absl::OkStatus();  // whoever needs it finds out why
  Header header;
  if (!log.Read(header.bytes, sizeof(header.bytes), 0)) return absl::OkStatus();
  if (!header.Fits()) {
    // Else it was being written, and what is behind it had been copied before.
    return HeaderHasTurnedBit(log, header, database_path) ? Damaged(database_path, "one bit of its header has turned round") : absl::OkStatus();
  }
  Frames frames(log, header);
  Sum previous = SumAt(header.bytes + kHeaderSummedBytes);
  for (int64_t number = 0; frames.Load(number); ++number) {
    if (!frames.Ours() || !frames.Follows(previous)) {
      const bool damaged = GoesOnBehind(frames, number, previous);
      return damaged ? Damaged(database_path, absl::StrCat("frame ", number + 1, " is broken, and what was written later is there")) : absl::OkStatus();
    }
    previous = frames.Stored();
  }
  return absl::OkStatus();
}

}  // namespace agentruntime::sqlite
