//! Called as C calls it.
