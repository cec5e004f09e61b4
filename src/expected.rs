//! States that cannot be: a test or a simulated seed that meets one fails, and a member in use goes on.

/// What is there unless this library is wrong.
pub(crate) trait Expected {
    /// Itself; where it is not there, debug builds fail.
    fn expected(self) -> Self;
}

impl<T> Expected for Option<T> {
    #[inline]
    #[track_caller]
    fn expected(self) -> Self {
        debug_assert!(self.is_some(), "a state that cannot be");
        self
    }
}
