#include "server/wiring.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <future>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/random.h"
#include "proto/base/status.h"
#include "runtime/http/curl_client.h"
#include "runtime/runtime.h"
#include "runtime/strand.h"
#include "runtime/timers.h"
#include "server/exit_deadline.h"
#include "server/make_models.h"
#include "server/make_tools.h"
#include "storage/sqlite/stores.h"
#include "storage/sqlite/text_index.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;

constexpr int kReaders = 4;                         // connections, and so reads of the store at a time
constexpr int kBlockingThreads = 6;                 // readers, and some that wait for the writer: agents
constexpr int kReadsAtOnce = kBlockingThreads / 2;  // of callers: fewer than kReaders, so that commands and loads find one free
constexpr int kToolThreads = 2;                     // for tools that read files: a large folder of documents must not keep runs from the store

StartFailure StoreFailure(const absl::Status& status) { return {sqlite::IsInUse(status) ? ExitCode::kInUse : ExitCode::kStore, std::string(status.message())}; }

// Beside the store: agentd.db's index is agentd.text.db. It can be built again at any time.
std::string TextIndexPath(const std::string& store_path) { return std::filesystem::path(store_path).replace_extension(".text.db").string(); }

RuntimeOptions OptionsOf(const config::v1::ServerConfig& config) {
  RuntimeOptions options;
  options.node = config.node();
  options.running_max = config.sessions().running_max();
  options.queued_max = config.sessions().queued_max();
  options.default_limits = config.limits().defaults();
  options.maximum_limits = config.limits().maxima();
  options.reads_at_once_max = kReadsAtOnce;
  return options;
}

}  // namespace

// Parts end in reverse order: what borrows before what it borrows.
struct Wiring::Impl {
  explicit Impl(int threads) : pool(static_cast<size_t>(threads)), blocking_pool(kBlockingThreads), tool_pool(kToolThreads) {}

  // The pools' threads first: what was cut off may still be at work on them, and it borrows from the runtime and reads the stores. Then the stores, which may
  // finish writes and post their completions to pools that stand still; the runtime last, for those find it.
  ~Impl() {
    pool.stop();
    pool.join();
    blocking_pool.stop();
    blocking_pool.join();
    tool_pool.stop();
    tool_pool.join();
    // Their threads post to the pools until they have ended.
    timers.Stop();
    http.reset();
    stores = {};
    runtime.reset();
  }

  std::optional<StartFailure> Open(const LoadedConfig& loaded, const ProcessOptions& process);
  std::optional<StartFailure> MakeEnvironment(const LoadedConfig& loaded, const ProcessOptions& process);
  std::optional<StartFailure> ApplyAgents(const LoadedConfig& loaded);

  // Runs a coroutine on the pool and blocks until its end.
  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return asio::co_spawn(Strand::On(pool.get_executor()), std::move(coroutine), asio::use_future).get();
  }

  SystemClock clock;
  SystemTimers timers;
  SystemRandom random;
  std::unique_ptr<CurlClient> http;
  sqlite::Stores stores;
  std::unique_ptr<TextIndex> text_index;
  std::map<std::string, std::unique_ptr<DocumentFolder>> folders;
  Environment environment;
  asio::thread_pool pool;
  asio::thread_pool blocking_pool;
  asio::thread_pool tool_pool;
  std::unique_ptr<Runtime> runtime;
};

std::optional<StartFailure> Wiring::Impl::Open(const LoadedConfig& loaded, const ProcessOptions& process) {
  sqlite::StoreOptions options;
  options.path = loaded.config.store().sqlite().path();
  options.readers = kReaders;
  options.clock = &clock;
  options.random = &random;
  options.restored = process.restored;
  auto opened = sqlite::OpenStores(options);
  if (!opened.ok()) return StoreFailure(opened.status());
  stores = *std::move(opened);
  if (process.restored) {
    Log(LogLevel::kWarn, "the store is a restored copy: it has a new id, and unfinished runs stop until they are resumed; leave --restored out from now on",
        {{"store", options.path}, {"id", stores.store->id()}});
  }
  auto index = sqlite::OpenTextIndex(TextIndexPath(options.path));
  if (!index.ok()) return StoreFailure(index.status());
  text_index = *std::move(index);
  return std::nullopt;
}

std::optional<StartFailure> Wiring::Impl::MakeEnvironment(const LoadedConfig& loaded, const ProcessOptions& process) {
  http = std::make_unique<CurlClient>(NetworkOptions{.connections_max = process.outbound_requests});
  environment.pool = pool.get_executor();
  environment.blocking_pool = blocking_pool.get_executor();
  environment.clock = &clock;
  environment.timers = &timers;
  environment.random = &random;
  environment.store = stores.store.get();
  environment.agents = stores.agents.get();
  auto models = MakeModels(loaded, {.clock = &clock, .timers = &timers, .http = http.get()});
  if (!models.ok()) return StartFailure{ExitCode::kBadConfig, std::string(models.status().message())};
  environment.models = *std::move(models);
  for (const auto& model : loaded.config.models()) {
    if (model.has_price()) environment.prices[model.name()] = model.price();
  }
  auto tools = MakeTools(loaded, {.clock = &clock,
                                  .http = http.get(),
                                  .text_index = text_index.get(),
                                  .store = environment.store,
                                  .blocking_pool = tool_pool.get_executor(),
                                  .folders = &folders});
  if (!tools.ok()) return StartFailure{ExitCode::kBadConfig, std::string(tools.status().message())};
  environment.tools = *std::move(tools);
  return std::nullopt;
}

std::optional<StartFailure> Wiring::Impl::ApplyAgents(const LoadedConfig& loaded) {
  for (const v1::Agent& agent : loaded.agents) {
    const auto applied = Await(runtime->UpdateAgent(agent, /*allow_missing=*/true));
    if (!applied.ok()) return StartFailure{ExitCode::kStore, absl::StrCat("cannot apply ", agent.name(), ": ", applied.status().message())};
    Log(LogLevel::kInfo, "agent applied", {{"agent", applied->revision()}});
  }
  return std::nullopt;
}

std::unique_ptr<Wiring> Wiring::Build(const LoadedConfig& config, const ProcessOptions& process, std::optional<StartFailure>& failure) {
  std::optional<ExitDeadline> exit_deadline;  // outlives what may not end
  auto impl = std::make_unique<Impl>(config.config.sessions().threads());
  if (failure = impl->Open(config, process); failure) return nullptr;
  if (failure = impl->MakeEnvironment(config, process); failure) return nullptr;
  auto runtime = Runtime::Start(impl->environment, OptionsOf(config.config));
  if (!runtime.ok()) {
    failure = StoreFailure(runtime.status());
    return nullptr;
  }
  impl->runtime = *std::move(runtime);
  if (failure = impl->ApplyAgents(config); failure) {
    exit_deadline.emplace(kExitMax, failure->code);
    impl->Await(impl->runtime->Drain(absl::ZeroDuration()));
    return nullptr;
  }
  return std::unique_ptr<Wiring>(new Wiring(std::move(impl)));
}

Wiring::Wiring(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Wiring::~Wiring() = default;

Runtime& Wiring::runtime() { return *impl_->runtime; }
asio::any_io_executor Wiring::pool() { return impl_->pool.get_executor(); }
void Wiring::Drain(absl::Duration grace) { impl_->Await(impl_->runtime->Drain(grace)); }
void Wiring::StartDrain(absl::Duration grace, std::function<void()> drained) {
  asio::co_spawn(Strand::On(impl_->pool.get_executor()), impl_->runtime->Drain(grace),
                 [drained = std::move(drained)](const std::exception_ptr&) { drained(); });
}

}  // namespace agentruntime
