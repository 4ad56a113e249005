#pragma once

#include <future>

namespace horizons::kit {

template <class Api, request_message M>
requires(Api::template has<M>) result<typename M::reply> system::ask(const handle<Api>& to, M m, milliseconds timeout) {
  auto answer = std::make_shared<std::promise<result<typename M::reply>>>();
  auto future = answer->get_future();
  ask(to, std::move(m), timeout, [answer](result<typename M::reply> r) { answer->set_value(std::move(r)); });
  return future.get();  // the kit answers every request at its timeout at the latest
}

}  // namespace horizons::kit
