#include "runtime/http/network_thread.h"

#include <curl/curl.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/http/transfer.h"

namespace agentruntime {
namespace {

constexpr absl::Duration kSweepInterval = absl::Milliseconds(50);  // how late a timeout may be noticed
constexpr int kIdlePollMs = 60'000;

// Whose bound and queue it is; messages show it.
std::string OriginOf(const Exchange& exchange) {
  return exchange.request.lane.empty() ? exchange.url.Origin() : absl::StrCat(exchange.url.Origin(), " for ", exchange.request.lane);
}

// Tells the coroutine, unless it has been told.
void Finish(Exchange& exchange, HttpEnd end, bool sent, std::string message) {
  absl::AnyInvocable<void()> wake;
  {
    MutexLock lock(exchange.mu);
    if (exchange.finished) return;
    exchange.finished = true;
    exchange.end = end;
    exchange.sent = sent;
    exchange.message = std::move(message);
    wake = std::exchange(exchange.wake, nullptr);
  }
  exchange.over = true;
  if (wake) wake();
}

}  // namespace

NetworkThread::NetworkThread(NetworkOptions options) : options_(std::move(options)) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  multi_ = curl_multi_init();
  curl_multi_setopt(static_cast<CURLM*>(multi_), CURLMOPT_MAXCONNECTS, static_cast<long>(options_.connections_max));
  returned_ = std::make_shared<ReturnedPlaces>(multi_);
  thread_ = std::thread([this] { Run(); });
}

NetworkThread::~NetworkThread() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  curl_multi_wakeup(static_cast<CURLM*>(multi_));
  thread_.join();
  returned_->Close();
  curl_multi_cleanup(static_cast<CURLM*>(multi_));
}

absl::Duration NetworkThread::Now() { return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); }

void NetworkThread::Begin(std::shared_ptr<Exchange> exchange) { Queue(Command::kBegin, std::move(exchange)); }
void NetworkThread::Abort(std::shared_ptr<Exchange> exchange) { Queue(Command::kAbort, std::move(exchange)); }
void NetworkThread::Resume(std::shared_ptr<Exchange> exchange) { Queue(Command::kResume, std::move(exchange)); }
void NetworkThread::Leave(std::shared_ptr<Exchange> exchange) { Queue(Command::kLeave, std::move(exchange)); }

void NetworkThread::Queue(Command::Kind kind, std::shared_ptr<Exchange> exchange) {
  bool first;
  {
    MutexLock lock(mu_);
    first = commands_.empty();
    commands_.push_back({kind, std::move(exchange)});
  }
  if (first) curl_multi_wakeup(static_cast<CURLM*>(multi_));
}

void NetworkThread::Run() {
  CURLM* const multi = static_cast<CURLM*>(multi_);
  for (;;) {
    std::vector<Command> commands;
    bool stopping;
    {
      MutexLock lock(mu_);
      commands.swap(commands_);
      stopping = stopping_;
    }
    for (Command& command : commands) Do(std::move(command));
    TakeReturned();
    if (stopping) break;
    int running = 0;
    curl_multi_perform(multi, &running);
    Reap();
    Sweep();
    const bool busy = !transfers_.empty() || waiting_ > 0;
    curl_multi_poll(multi, nullptr, 0, busy ? static_cast<int>(absl::ToInt64Milliseconds(kSweepInterval)) : kIdlePollMs, nullptr);
  }
  CloseAll();
}

void NetworkThread::Do(Command command) {
  Exchange& exchange = *command.exchange;
  switch (command.kind) {
    case Command::kBegin: Admit(std::move(command.exchange)); break;
    case Command::kAbort:
      if (exchange.over) break;
      if (exchange.transfer != nullptr) {
        End(*exchange.transfer, HttpEnd::kCancelled, "cancelled");
      } else {
        const auto at = origins_.find(OriginOf(exchange));
        Finish(exchange, HttpEnd::kCancelled, false, absl::StrCat("cancelled before a connection to ", at->first, " was free", WhyNone(at->second)));
        Settle(at);
      }
      break;
    case Command::kResume:
      if (exchange.transfer != nullptr) exchange.transfer->Resume();
      break;
    case Command::kLeave:
      if (exchange.transfer != nullptr) exchange.transfer->Leave(Now());
      break;
  }
}

void NetworkThread::Admit(std::shared_ptr<Exchange> exchange) {
  const auto at = origins_.try_emplace(OriginOf(*exchange)).first;
  Origin& origin = at->second;
  // A place that is free belongs to those whose turn it is.
  if (active_ < options_.connections_max && turns_.empty() && origin.waiting.empty() && HasRoom(origin, *exchange)) {
    Start(origin, std::move(exchange));
  } else if (waiting_ >= options_.waiting_max) {
    Finish(*exchange, HttpEnd::kUnreachable, false, absl::StrCat("more than ", options_.waiting_max, " requests wait for a connection; try again later"));
  } else {
    ++waiting_;
    origin.waiting.push_back(std::move(exchange));
  }
  Settle(at);
}

bool NetworkThread::HasRoom(const Origin& origin, const Exchange& exchange) const {
  return origin.active < (exchange.request.connections_max > 0 ? exchange.request.connections_max : options_.connections_per_origin_max);
}

std::string NetworkThread::WhyNone(const Origin& origin) const {
  std::string why;
  if (active_ >= options_.connections_max) absl::StrAppend(&why, "; all ", options_.connections_max, " of this process are taken");
  if (kept_ > 0) absl::StrAppend(&why, "; answers that are not recorded yet: ", origin.kept, " of it, ", kept_, " in all");
  return why;
}

void NetworkThread::StartWaiting() {
  while (active_ < options_.connections_max && !turns_.empty()) {
    const auto at = turns_.front();
    turns_.pop_front();
    Origin& origin = at->second;
    origin.in_turns = false;
    if (!origin.waiting.empty() && !origin.waiting.front()->over && HasRoom(origin, *origin.waiting.front())) {
      const std::shared_ptr<Exchange> exchange = std::move(origin.waiting.front());
      origin.waiting.pop_front();
      --waiting_;
      Start(origin, exchange);
    }
    Settle(at);
  }
}

void NetworkThread::Settle(Origins::iterator at) {
  Origin& origin = at->second;
  while (!origin.waiting.empty() && origin.waiting.front()->over) {
    origin.waiting.pop_front();
    --waiting_;
  }
  if (origin.in_turns) return;
  if (!origin.waiting.empty() && HasRoom(origin, *origin.waiting.front())) {
    origin.in_turns = true;
    turns_.push_back(at);
  } else if (origin.waiting.empty() && origin.active == 0) {
    origins_.erase(at);
  }
}

void NetworkThread::Start(Origin& origin, std::shared_ptr<Exchange> exchange) {
  auto transfer = std::make_unique<Transfer>(exchange, OriginOf(*exchange), options_);
  if (transfer->easy() == nullptr || curl_multi_add_handle(static_cast<CURLM*>(multi_), transfer->easy()) != CURLM_OK) {
    return Finish(*exchange, HttpEnd::kUnreachable, false, "no memory for another request");
  }
  if (!exchange->request.waiting_counts) exchange->deadline = Now() + exchange->request.total_timeout;
  ++origin.active;
  ++active_;
  exchange->transfer = transfer.get();
  transfers_.emplace(transfer.get(), std::move(transfer));
}

void NetworkThread::TakeReturned() {
  for (const std::string& name : returned_->Take()) {
    const auto at = origins_.find(name);  // there as long as a place of it is taken
    --at->second.kept;
    --kept_;
    --at->second.active;
    --active_;
    Settle(at);
  }
}

void NetworkThread::Reap() {
  int left = 0;
  while (CURLMsg* const message = curl_multi_info_read(static_cast<CURLM*>(multi_), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    void* self = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
    auto& transfer = *static_cast<Transfer*>(self);
    std::string text;
    const HttpEnd end = transfer.Judge(message->data.result, text);
    End(transfer, end, std::move(text));
  }
}

void NetworkThread::Sweep() {
  const absl::Duration now = Now();
  if (now - swept_ < kSweepInterval) return StartWaiting();
  swept_ = now;
  std::vector<std::pair<Transfer*, std::string>> late;
  for (const auto& [transfer, owner] : transfers_) {
    std::string message;
    if (transfer->IsLate(now, message)) late.emplace_back(transfer, std::move(message));
  }
  for (auto& [transfer, message] : late) End(*transfer, HttpEnd::kTimeout, std::move(message));
  for (auto it = origins_.begin(); it != origins_.end();) {
    const auto at = it++;  // Settle may erase it
    auto& [name, origin] = *at;
    for (const auto& exchange : origin.waiting) {
      if (exchange->over || now < exchange->deadline) continue;
      Finish(*exchange, HttpEnd::kTimeout, false, absl::StrCat("no connection to ", name, " was free in time", WhyNone(origin)));
    }
    // Also those within the queue, with what they were to send.
    waiting_ -= static_cast<int>(std::erase_if(origin.waiting, [](const std::shared_ptr<Exchange>& exchange) { return exchange->over; }));
    Settle(at);
  }
  StartWaiting();
}

void NetworkThread::End(Transfer& transfer, HttpEnd end, std::string message) {
  curl_multi_remove_handle(static_cast<CURLM*>(multi_), transfer.easy());
  transfer.PublishHead();
  Exchange& exchange = transfer.exchange();
  exchange.transfer = nullptr;
  const auto at = origins_.find(transfer.origin());
  Origin& origin = at->second;
  bool kept = false;
  {
    MutexLock lock(exchange.mu);
    kept = !exchange.streaming && !exchange.bytes.empty();
    if (kept) exchange.place = std::make_unique<Place>(returned_, transfer.origin());
  }
  if (kept) {
    ++origin.kept;
    ++kept_;
  } else {
    --origin.active;
    --active_;
  }
  Settle(at);
  const auto it = transfers_.find(&transfer);
  const std::unique_ptr<Transfer> owned = std::move(it->second);  // lives until the coroutine is told
  transfers_.erase(it);
  Finish(exchange, end, owned->sent(), std::move(message));
}

void NetworkThread::CloseAll() {
  while (!transfers_.empty()) End(*transfers_.begin()->second, HttpEnd::kCancelled, "the client was closed");
  for (auto& [name, origin] : origins_) {
    for (const auto& exchange : origin.waiting) Finish(*exchange, HttpEnd::kCancelled, false, "the client was closed");
  }
  turns_.clear();
  origins_.clear();
}

}  // namespace agentruntime
