//! What members say of themselves.

use std::ffi::{CString, c_char};
use std::ptr;

use engine::{MemberId, TagSet};

use crate::member::{butterfly, look, with};
use crate::raw;
use crate::status::{Failure, butterfly_status, guard};

/// Something that a member says of itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_tag {
    /// 1 to 64 letters, digits and `-_.`
    pub key: *const c_char,
    /// UTF-8 without control characters; it may be empty.
    pub value: *const c_char,
}

/// This member says this of itself from now on, and nothing else; none: nothing. All keys and values have 4 KiB at most.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; there are so many tags, whose texts are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_set_tags(
    member: *mut butterfly,
    tags: *const butterfly_tag,
    count: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        let mut set = TagSet::new();
        // SAFETY: the caller's, here and below.
        for tag in unsafe { raw::items("tags", tags, count) }? {
            let (key, value) =
                unsafe { (raw::text("key", tag.key)?, raw::text("value", tag.value)?) };
            let inserted = set.insert(key, value);
            inserted.map_err(|error| Failure::argument("tags", error))?;
        }
        member.member.set_tags(set).map_err(crate::member::refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// The tags of a member, as they were when the list was made.
pub struct butterfly_tags {
    tags: Vec<(CString, CString)>,
    next: usize,
}

/// What the member of this id says of itself, by key, as a list that the caller frees with butterfly_tags_free(); empty if
/// it says nothing or is not known. NULL if `member` is NULL or the id does not read.
///
/// # Safety
/// The member is NULL or valid; `id` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_tags_new(
    member: *const butterfly,
    id: *const c_char,
) -> *mut butterfly_tags {
    let mut list = ptr::null_mut();
    let act = |member: &butterfly| {
        // SAFETY: the caller's.
        let id: MemberId = unsafe { raw::parsed("id", id) }?;
        let held = member.member.node().tags(id);
        let pairs = held.iter().flat_map(|tags| tags.iter());
        let tags = pairs
            .map(|(key, value)| (raw::text_for_c(key), raw::text_for_c(value)))
            .collect();
        list = Box::into_raw(Box::new(butterfly_tags { tags, next: 0 }));
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) };
    list
}

/// The next one goes to `tag`, of which the caller knows `size` bytes: sizeof(butterfly_tag). Its texts are the list's, and
/// valid until it is freed. Whether there was one.
///
/// # Safety
/// The list is NULL or valid; so many bytes can be written to `tag`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_tags_next(
    list: *mut butterfly_tags,
    tag: *mut butterfly_tag,
    size: usize,
) -> bool {
    let mut there_was = false;
    guard(|| {
        raw::check_room("tag", tag, size, 1)?;
        // SAFETY: the caller's.
        let list = unsafe { raw::exclusive("list", list) }?;
        if let Some((key, value)) = list.tags.get(list.next) {
            list.next += 1;
            let shown = butterfly_tag {
                key: key.as_ptr(),
                value: value.as_ptr(),
            };
            // SAFETY: the caller's.
            unsafe { raw::give("tag", tag, size, &shown) }?;
            there_was = true;
        }
        Ok(())
    });
    there_was
}

/// Frees a list. NULL is nothing to free.
///
/// # Safety
/// It is NULL, or from `butterfly_tags_new` and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_tags_free(list: *mut butterfly_tags) {
    if !list.is_null() {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(list) });
    }
}
