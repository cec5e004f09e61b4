//! Pointers that come from C, and texts and bytes that go there.

use std::ffi::{CStr, CString, c_char};
use std::str::FromStr;

use crate::status::Failure;

const NULL: &str = "it is NULL";

/// What it points to.
///
/// # Safety
/// It is NULL, or points to a valid `T` that nobody else uses during `'a`.
pub unsafe fn exclusive<'a, T>(name: &str, pointer: *mut T) -> Result<&'a mut T, Failure> {
    // SAFETY: the caller's.
    unsafe { pointer.as_mut() }.ok_or_else(|| Failure::argument(name, NULL))
}

/// What it points to.
///
/// # Safety
/// It is NULL, or points to a valid `T` that nobody changes during `'a`.
pub unsafe fn shared<'a, T>(name: &str, pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::argument(name, NULL))
}

/// A text; `None` if it is NULL.
///
/// # Safety
/// It is NULL, or points to bytes that end with a zero and are not changed during `'a`.
pub unsafe fn optional_text<'a>(
    name: &str,
    pointer: *const c_char,
) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    let text = bytes.to_str();
    text.map(Some)
        .map_err(|_| Failure::argument(name, "it is not UTF-8"))
}

/// A text that has to be there.
///
/// # Safety
/// As [`optional_text`].
pub unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: the caller's.
    unsafe { optional_text(name, pointer) }?.ok_or_else(|| Failure::argument(name, NULL))
}

/// A text that has to be there and to read as something.
///
/// # Safety
/// As [`optional_text`].
pub unsafe fn parsed<T: FromStr<Err: std::fmt::Display>>(
    name: &str,
    pointer: *const c_char,
) -> Result<T, Failure> {
    // SAFETY: the caller's.
    let text = unsafe { text(name, pointer) }?;
    text.parse()
        .map_err(|error| Failure::argument(name, format_args!("{text:?}: {error}")))
}

/// So many items from there on; NULL if there are none.
///
/// # Safety
/// There are so many, and nobody changes them during `'a`.
pub unsafe fn items<'a, T>(name: &str, first: *const T, count: usize) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Failure::argument(name, NULL));
    }
    // SAFETY: the caller's.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// Whether a structure can be given there, of which the caller knows so many bytes.
pub fn check_room<T>(name: &str, to: *mut T, size: usize, least: usize) -> Result<(), Failure> {
    if to.is_null() {
        return Err(Failure::argument(name, NULL));
    }
    if size < least {
        return Err(Failure::argument(
            name,
            "its size is too small: give sizeof",
        ));
    }
    Ok(())
}

/// Copies as much of a structure as the caller knows; what the caller knows beyond it becomes zero.
///
/// # Safety
/// So many bytes can be written there, and `T` is plain data.
pub unsafe fn give<T: Copy>(name: &str, to: *mut T, size: usize, value: &T) -> Result<(), Failure> {
    check_room(name, to, size, 0)?;
    let known = size.min(size_of::<T>());
    let (from, to) = (std::ptr::from_ref(value).cast::<u8>(), to.cast::<u8>());
    // SAFETY: the caller's.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, known);
        to.add(known).write_bytes(0, size - known);
    }
    Ok(())
}

/// A text as C has it: it ends at its first zero byte, if it has one.
pub fn text_for_c(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text.as_bytes()[..end]).unwrap_or_default()
}

/// The same in an array; what does not fit is cut off between two characters.
pub fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut chars = [0; N];
    for (to, from) in chars.iter_mut().zip(text.as_bytes()[..end].iter()) {
        *to = *from as c_char;
    }
    chars
}
