// Refusals and failures as RFC 9457 problem details: what kind, what is wrong, in which field.
#pragma once

#include <string>

#include "gateways/http/request.hpp"

namespace horizons::http {

/// The HTTP status of a failure of the house.
int status_of(error_code code);

/// The path of the field that `detail` begins with ("params.size" of "params.size: 0 is out of range"), or empty.
std::string field_of(const std::string& detail);

/// `type` is "/problems/<slug>", made from `title`. When `detail` starts with a field's path ("params.size: …"), the
/// field appears in `errors` as well. 401, 429 and 503 get their header.
response problem(int status, std::string title, std::string detail);

/// A failure as the house reports it.
response problem(const error& e);

}  // namespace horizons::http
