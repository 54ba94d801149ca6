#include "runtime/http/curl_client.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/http/url.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

HttpOutcome Refuse(absl::string_view message) {
  HttpOutcome outcome;
  outcome.end = HttpEnd::kRefused;
  outcome.message = std::string(message);
  return outcome;
}

bool IsToken(absl::string_view text) {
  constexpr absl::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (const char c : text) {
    if (!absl::ascii_isalnum(c) && kMarks.find(c) == absl::string_view::npos) return false;
  }
  return !text.empty();
}

// What is wrong with the request's own lines; empty: nothing.
std::string CheckLines(const HttpRequest& request) {
  if (!IsToken(request.method)) return "the method is no HTTP method";
  for (const HttpHeader& header : request.headers) {
    if (!IsToken(header.name)) return "a header's name contains characters that HTTP forbids";
    if (header.value.find_first_of(std::string("\r\n\0", 3)) != std::string::npos) {
      return absl::StrCat("the value of header ", header.name, " contains a line break; if it comes from a file, remove the line end");
    }
  }
  return "";
}

bool IsRedirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

// The next hop's request, or why there is none.
absl::StatusOr<HttpUrl> Follow(HttpRequest& request, const HttpUrl& from, const HttpHead& head) {
  absl::StatusOr<HttpUrl> url = ResolveHttpUrl(from, head.Find("Location"));
  if (!url.ok()) return url;
  if (from.scheme == "https" && url->scheme != "https") return absl::InvalidArgumentError("it leads from https to http");
  if (url->Origin() != from.Origin()) {
    std::erase_if(request.headers, [](const HttpHeader& header) { return header.secret; });
  }
  const bool rewrites = head.status == 303 ? request.method != "HEAD" : (head.status == 301 || head.status == 302) && request.method == "POST";
  if (rewrites) {
    request.method = "GET";
    request.body.clear();
    std::erase_if(request.headers, [](const HttpHeader& header) { return absl::StartsWithIgnoreCase(header.name, "content-"); });
  }
  return url;
}

// Waits until the exchange has news. A cancellation meanwhile aborts it, which is news.
asio::awaitable<void> WaitForNews(std::shared_ptr<Exchange> exchange, NetworkThread& network) {
  const asio::any_io_executor home = co_await asio::this_coro::executor;
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&network, home](auto handler, std::shared_ptr<Exchange> watched) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign([watched, &network](asio::cancellation_type) { network.Abort(watched); });
        absl::AnyInvocable<void()> wake = [home, slot, handler = std::move(handler)]() mutable {
          asio::post(home, [slot, handler = std::move(handler)]() mutable {
            if (slot.is_connected()) slot.clear();
            std::move(handler)();
          });
        };
        {
          MutexLock lock(watched->mu);
          const bool news = watched->finished || (watched->streaming && (watched->head_ready || !watched->bytes.empty()));
          if (!news) {
            watched->wake = std::move(wake);
            return;
          }
        }
        wake();
      },
      asio::use_awaitable, std::move(exchange));
}

}  // namespace

asio::awaitable<HttpOutcome> CurlClient::Send(HttpRequest request, HttpSink* sink) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  HttpOutcome outcome;
  bool sent = false;
  absl::StatusOr<HttpUrl> url = ParseHttpUrl(request.url);
  std::string wrong = CheckLines(request);
  const absl::Duration deadline = request.waiting_counts ? NetworkThread::Now() + request.total_timeout : absl::InfiniteDuration();
  for (int hop = 0;; ++hop) {
    if (!url.ok()) {
      outcome = Refuse(hop == 0 ? url.status().message() : absl::StrCat("the redirect is not followed: ", url.status().message()));
      break;
    }
    if (wrong.empty() && request.hosts != nullptr && !request.hosts->Allows(url->host, url->port)) {
      wrong = absl::StrCat(url->host, ":", url->port, " is not among the allowed hosts (", request.hosts->ToString(), ")");
    }
    if (!wrong.empty()) {
      outcome = Refuse(wrong);
      break;
    }
    const bool last = request.redirects_max == 0;
    outcome = co_await SendHop(request, *url, sink, deadline);
    outcome.url = url->text;
    sent = sent || outcome.sent;
    if (outcome.end != HttpEnd::kResponse || last || !IsRedirect(outcome.head.status) || outcome.head.Find("Location").empty()) break;
    if (hop >= request.redirects_max) {
      outcome = Refuse(absl::StrCat("more than ", request.redirects_max, " redirects"));
      break;
    }
    url = Follow(request, *url, outcome.head);
    outcome = HttpOutcome();  // the next hop needs a place
  }
  outcome.sent = sent;
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return outcome;
}

asio::awaitable<HttpOutcome> CurlClient::SendHop(HttpRequest request, HttpUrl url, HttpSink* sink, absl::Duration deadline) {
  HttpOutcome outcome;
  const bool may_follow = request.redirects_max > 0;
  auto exchange = std::make_shared<Exchange>();  // shared with the network thread
  exchange->request = std::move(request);
  exchange->url = std::move(url);
  exchange->streaming = sink != nullptr;
  exchange->deadline = deadline;

  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    outcome.message = "cancelled";
    co_return outcome;
  }
  network_.Begin(exchange);
  bool skip = false;  // the body of a redirect that is followed is nobody's
  bool aborted = false;
  for (;;) {
    co_await WaitForNews(exchange, network_);
    std::string bytes;
    bool head_came = false;
    bool paused = false;
    bool finished = false;
    {
      MutexLock lock(exchange->mu);
      if (exchange->head_ready) {
        exchange->head_ready = false;
        head_came = true;
        outcome.head = std::move(exchange->head);
      }
      bytes.swap(exchange->bytes);
      paused = std::exchange(exchange->paused, false);
      finished = exchange->finished;
      if (finished) {
        outcome.end = exchange->end;
        outcome.sent = exchange->sent;
        outcome.message = std::move(exchange->message);
        outcome.place = std::move(exchange->place);
      }
    }
    const bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
    if (cancelled && !finished && !aborted) {
      aborted = true;
      network_.Abort(exchange);
    }
    if (head_came) skip = may_follow && IsRedirect(outcome.head.status) && !outcome.head.Find("Location").empty();
    if (sink == nullptr) {
      outcome.body = std::move(bytes);
    } else if (!cancelled && !skip) {
      if (head_came) sink->Head(outcome.head);
      if (!bytes.empty() && sink->Body(bytes) == HttpTake::kEnough) {
        if (!finished) {
          {
            MutexLock lock(exchange->mu);
            exchange->left = true;
          }
          network_.Leave(exchange);
        }
        outcome.end = HttpEnd::kResponse;
        outcome.sent = true;
        outcome.message.clear();
        co_return outcome;
      }
    }
    if (finished) {
      if (cancelled) outcome.end = HttpEnd::kCancelled;
      co_return outcome;
    }
    if (paused) network_.Resume(exchange);
  }
}

}  // namespace agentruntime
