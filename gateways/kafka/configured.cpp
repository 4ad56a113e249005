#include "gateways/kafka/configured.hpp"

#include <fstream>

namespace horizons::kafka {

result<kafka_options> options_from(const kafka_section& section, std::string node) {
  kafka_options o;
  o.brokers = section.brokers;
  o.registry = section.registry;
  o.format = section.format;
  o.group = section.group;
  o.create_topics = section.create_topics;
  o.security_protocol = section.security_protocol;
  o.sasl_mechanism = section.sasl_mechanism;
  o.sasl_username = section.sasl_username;
  o.sasl_password = section.sasl_password;
  o.tls_ca = section.tls_ca;
  o.tls_cert = section.tls_cert;
  o.tls_key = section.tls_key;
  o.node = std::move(node);
  if (const auto& file = section.sasl_password_file; !file.empty()) {
    std::ifstream in(file);
    if (!std::getline(in, o.sasl_password) || o.sasl_password.empty())
      return failure(error_code::invalid_argument, "kafka.sasl_password_file = " + file +
                                                       " cannot be read or is empty; expected the password in its "
                                                       "first line");
  }
  if (auto ok = validate(o); !ok) return failure(ok.error());
  return o;
}

}  // namespace horizons::kafka
