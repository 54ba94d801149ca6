// Whether an instant of the wall clock has come. The clock may be set at any moment, forwards and back.
#pragma once

#include "absl/time/time.h"

namespace agentruntime {

// Who waits for an instant looks at the clock again after this.
inline constexpr absl::Duration kClockLook = absl::Minutes(1);

// What lies further ahead than anything is ever set is of a clock that was set back far, and due as well: nobody waits for years. With room above what is
// set, for a clock that is put right by a little.
inline constexpr absl::Duration kRetryAheadMax = absl::Minutes(15);      // of a next try: kRetryAfterMax, spread
inline constexpr absl::Duration kExpiryAheadMax = absl::Hours(31 * 24);  // of what a person is asked: kCallWaitMaximum, and a day

inline bool IsRetryDue(absl::Time at, absl::Time now) { return at <= now || at - now > kRetryAheadMax; }
inline bool IsExpiryDue(absl::Time at, absl::Time now) { return at <= now || at - now > kExpiryAheadMax; }

}  // namespace agentruntime
