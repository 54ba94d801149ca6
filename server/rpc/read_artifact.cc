#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/limits.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/validate.h"

namespace agentruntime::rpc {

Answer<v1::ReadArtifactResponse> ReadArtifact(const Backend& backend, v1::ReadArtifactRequest request) {
  FieldChecks checks;
  const ArtifactName name = CheckArtifactName(checks, "name", request.name());
  if (request.offset() < 0) checks.Add("offset", absl::StrCat(request.offset(), " is negative; give the first byte, 0 for the beginning"));
  if (request.max_bytes() < 0 || request.max_bytes() > kArtifactReadBytesMax) {
    checks.Add("max_bytes", absl::StrCat(request.max_bytes(), " is not in 0 to ", kArtifactReadBytesMax, "; 0 is the most"));
  }
  CO_RETURN_IF_ERROR(checks.status());
  const int64_t bytes_max = request.max_bytes() == 0 ? kArtifactReadBytesMax : request.max_bytes();
  CO_ASSIGN_OR_RETURN(ArtifactPiece piece, co_await backend.runtime->ReadArtifact(name.run, name.number, request.offset(), bytes_max));
  v1::ReadArtifactResponse response;
  const int64_t end = request.offset() + static_cast<int64_t>(piece.data.size());
  response.set_data(std::move(piece.data));
  response.set_next_offset(end < piece.total_bytes ? end : 0);
  response.set_total_bytes(piece.total_bytes);
  co_return response;
}

}  // namespace agentruntime::rpc
