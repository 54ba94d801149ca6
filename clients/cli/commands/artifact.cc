#include <algorithm>

#include "clients/cli/commands/commands.h"
#include "clients/cli/text.h"
#include "proto/base/text.h"

namespace agentruntime::cli {
namespace {

// As it is into a file or pipe. A terminal gets what is safe to print; a character that a piece ends within waits in `rest` for the next one.
void Print(const Output& output, const std::string& data, bool last, std::string& rest) {
  if (output.width == 0) {
    output.out << data;
    return;
  }
  rest += data;
  const size_t whole = last ? rest.size() : CutUtf8(rest, rest.size() - std::min<size_t>(rest.size(), 3)).size();
  output.out << Printable(rest.substr(0, whole));
  rest.erase(0, whole);
}

}  // namespace

ExitCode ArtifactCommand(Session& session, const std::string& name) {
  const Output& output = session.output;
  v1::ReadArtifactRequest request;
  request.set_name(name);
  std::string rest;
  do {
    const auto piece = session.runs.ReadArtifact(request);
    if (!piece.ok()) return Fail(output, piece.status());
    if (output.json) {
      PrintJson(output, *piece);
    } else {
      Print(output, piece->data(), piece->next_offset() == 0, rest);
    }
    request.set_offset(piece->next_offset());
  } while (request.offset() > 0 && output.out.good());
  output.out << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
