#include "server/rpc/hash.h"

#include <openssl/sha.h>

#include "absl/strings/str_cat.h"
#include "proto/util/serialize.h"

namespace agentruntime::rpc {
namespace {

constexpr char kRequestHashVersion = 1;

}  // namespace

std::string Sha256(absl::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string RequestHash(const google::protobuf::Message& request_without_id) {
  // The type stands in front: equal bytes of two types are two requests.
  const std::string body = absl::StrCat(request_without_id.GetTypeName(), absl::string_view("\0", 1), SerializeDeterministically(request_without_id));
  return absl::StrCat(absl::string_view(&kRequestHashVersion, 1), Sha256(body));
}

}  // namespace agentruntime::rpc
