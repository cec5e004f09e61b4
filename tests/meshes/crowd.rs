//! A member with more peers than sockets.
