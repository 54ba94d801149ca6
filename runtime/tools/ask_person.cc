#include "runtime/tools/ask_person.h"

#include <utility>

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"question":{"type":"string","minLength":1,"maxLength":4000,"description":"One question, with all that a person who )json"
    R"json(has not read this conversation needs to answer it."}},"required":["question"],"additionalProperties":false})json";

}  // namespace

AskPerson::AskPerson(std::string name) {
  spec_.name = std::move(name);
  spec_.description = "Asks a person and waits for the answer, which may take long or never come. For what only a person can know or decide.";
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.asks_person = true;
}

asio::awaitable<ToolOutcome> AskPerson::Call(ToolRequest, ProgressSink&) { co_return ToolFailed{.message = "a person answers it, and nobody asked one"}; }

}  // namespace agentruntime
