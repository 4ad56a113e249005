// The Kafka bridge's options from the section [kafka] of the configuration.
#pragma once

#include <string>

#include "gateways/kafka/client.hpp"
#include "runtime/config/config.hpp"

namespace horizons::kafka {

/// Reads kafka.sasl_password_file. `node` names the clients. Errors name the key, never a password.
result<kafka_options> options_from(const kafka_section& section, std::string node);

}  // namespace horizons::kafka
