// The figures of the example run as a picture.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/report.h"

namespace agentruntime::bench {

// An SVG: throughput and latency against the number of callers, the product beside its floor. Rows that are not there are not drawn.
std::string PlotExample(const std::vector<Row>& rows);

}  // namespace agentruntime::bench
