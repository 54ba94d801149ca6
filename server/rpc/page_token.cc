#include "server/rpc/page_token.h"

#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/serialize.h"
#include "server/rpc/hash.h"

namespace agentruntime::rpc {
namespace {

constexpr char kVersion = 2;
constexpr size_t kHashBytes = 8;
constexpr size_t kKeyBytesMax = 64;
constexpr size_t kTokenBytesMin = 1 + 3 * kHashBytes;  // of store, query and token
constexpr size_t kTokenCharactersMax = 4 * (kTokenBytesMin + kKeyBytesMax) / 3 + 4;

std::string ShortHash(absl::string_view purpose, absl::string_view text) {
  return Sha256(absl::StrCat(purpose, absl::string_view("\0", 1), text)).substr(0, kHashBytes);
}

}  // namespace

std::string QueryOf(const google::protobuf::Message& request) {
  const std::unique_ptr<google::protobuf::Message> query(request.New());
  query->CopyFrom(request);
  for (const char* name : {"page_token", "page_size"}) query->GetReflection()->ClearField(query.get(), query->GetDescriptor()->FindFieldByName(name));
  return absl::StrCat(query->GetTypeName(), absl::string_view("\0", 1), SerializeDeterministically(*query));
}

std::string EncodePageToken(absl::string_view store_id, absl::string_view query, absl::string_view key) {
  const std::string body = absl::StrCat(absl::string_view(&kVersion, 1), ShortHash("store", store_id), ShortHash("query", query), key);
  return absl::WebSafeBase64Escape(absl::StrCat(body, ShortHash("page token", body)));
}

absl::StatusOr<std::string> DecodePageToken(absl::string_view token, absl::string_view store_id, absl::string_view query) {
  if (token.empty()) return std::string();
  std::string bytes;
  if (token.size() > kTokenCharactersMax || !absl::WebSafeBase64Unescape(token, &bytes) || bytes.size() < kTokenBytesMin) return PageTokenInvalid();
  if (absl::WebSafeBase64Escape(bytes) != token) return PageTokenInvalid();  // the last character has bits to spare
  const absl::string_view body = absl::string_view(bytes).substr(0, bytes.size() - kHashBytes);
  const absl::string_view checksum = absl::string_view(bytes).substr(body.size());
  if (checksum != ShortHash("page token", body)) return PageTokenInvalid();
  if (body[0] != kVersion) return PageTokenInvalid();
  if (body.substr(1, kHashBytes) != ShortHash("store", store_id)) return PageTokenOfOtherStore();
  if (body.substr(1 + kHashBytes, kHashBytes) != ShortHash("query", query)) return PageTokenInvalid();
  return std::string(body.substr(1 + 2 * kHashBytes));
}

}  // namespace agentruntime::rpc
