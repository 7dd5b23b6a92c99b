// The names of Boost.Asio that every layer uses. Coroutines return fresnel::awaitable<T>.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/error_code.hpp>

namespace fresnel {

namespace asio = boost::asio;
using boost::system::error_code;

using Executor = asio::any_io_executor;

template <class T = void>
using awaitable = asio::awaitable<T>;

}  // namespace fresnel
