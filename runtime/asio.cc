// Boost.Asio compiled once: a second and a half less for every other file.
#include <boost/asio/impl/src.hpp>
