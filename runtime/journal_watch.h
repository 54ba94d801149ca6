// A Watch over the store and the hub: snapshot, journal from the cursor, then live.
#pragma once

#include <memory>
#include <stop_token>

#include "runtime/fifo.h"
#include "runtime/hub.h"

namespace agentruntime {

class JournalWatch final : public Watch {
 public:
  JournalWatch(std::shared_ptr<Hub> hub, std::shared_ptr<Mailbox> mailbox, RunId run, Sequence after);

  // For a run made just now, whose mailbox is older than the run: `run` is as of `created`, its event 1. Before the first Next.
  void BeginWith(v1::Run run, const v1::Event& created);

  boost::asio::awaitable<absl::StatusOr<EncodedResponse>> Next() override;
  void Close() override {
    closed_.request_stop();
    mailbox_->Close();
  }

 private:
  enum class Phase {
    kBegin,    // the snapshot comes first
    kReading,  // from the store
    kLive,     // from the mailbox
    kLast,     // the snapshot comes last
    kEnded,
  };

  boost::asio::awaitable<absl::Status> Begin();
  boost::asio::awaitable<absl::Status> Read();
  boost::asio::awaitable<absl::Status> Listen();
  absl::Status Hear(Mailbox::Mail mail);
  boost::asio::awaitable<absl::Status> End();
  // Brings the bookmark up to date. Whether it is the run as of the cursor: it must not lie ahead of the events that were sent.
  boost::asio::awaitable<absl::StatusOr<bool>> MarkAtCursor();
  boost::asio::awaitable<absl::StatusOr<v1::Run>> Load();
  void Mark(v1::Run run);
  void Deliver(const PublishedEvent& event);

  const std::shared_ptr<Hub> hub_;
  const std::shared_ptr<Mailbox> mailbox_;
  const RunId run_;
  Sequence cursor_;
  // The run as of `marked_`, without what only the first snapshot has; may be old. As it goes out: a message takes a kilobyte, and thousands idle with it.
  EncodedResponse bookmark_;
  Sequence marked_ = 0;
  Sequence text_void_before_ = 0;  // the last event delivered that voids text
  Phase phase_ = Phase::kBegin;
  bool stopped_ = false;  // the last event delivered is a stop
  Fifo<EncodedResponse> out_;
  std::stop_source closed_;  // for a read that waits
};

}  // namespace agentruntime
