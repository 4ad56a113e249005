// Bodies made of events: a replay that ends when it has caught up (newline-delimited JSON), and a live stream that
// first catches up and then goes on (server-sent events), without gap and without repetition.
#pragma once

#include <memory>

#include "gateways/http/metrics.hpp"
#include "gateways/http/request.hpp"

namespace horizons::http {

/// Every event of `query`, one JSON object per line, in position order; read in pages as the reader takes them.
std::shared_ptr<body_source> replay_source(const services& s, event_query query);

/// Events after `query.after_position` when `resumes`, otherwise from now on; filtered by tenant, job and type.
/// A reader that falls more than 1 MiB behind is cut off; it comes back with Last-Event-ID and misses nothing.
std::shared_ptr<body_source> live_source(const services& s, event_query query, bool resumes, http_metrics& metrics);

}  // namespace horizons::http
