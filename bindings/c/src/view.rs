//! Lists of members and services, and what configurations and files hold.

use std::ffi::{CString, c_char};
use std::vec;

use engine::{Rumor, RumorId, RumorKind, ServiceGroup};

use crate::event::{butterfly_health, health, hex, place};
use crate::member::{butterfly, look, with};
use crate::raw;
use crate::status::{Failure, butterfly_status, guard};
use butterfly_status::BUTTERFLY_NOT_FOUND;

/// How many members of each health there are, this one included.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_counts {
    /// Those that are BUTTERFLY_ALIVE.
    pub alive: usize,
    /// Those that are BUTTERFLY_SUSPECT.
    pub suspect: usize,
    /// Those that are BUTTERFLY_CONFIRMED.
    pub confirmed: usize,
    /// Those that are BUTTERFLY_DEPARTED.
    pub departed: usize,
}

/// How many members of each health there are; of which the caller knows `size` bytes: sizeof(butterfly_counts).
///
/// # Safety
/// The member is NULL or valid; so many bytes can be written to `counts`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_count(
    member: *const butterfly,
    counts: *mut butterfly_counts,
    size: usize,
) -> butterfly_status {
    let act = |member: &butterfly| {
        let held = member.member.node().counts();
        let held = butterfly_counts {
            alive: held.alive,
            suspect: held.suspect,
            confirmed: held.confirmed,
            departed: held.departed,
        };
        // SAFETY: the caller's.
        unsafe { raw::give("counts", counts, size, &held) }
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) }
}

/// A member as another sees it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_member {
    /// Who: 32 hexadecimal digits.
    pub id: [c_char; 33],
    /// Its name for people, empty if it has none.
    pub name: [c_char; 65],
    /// Where it is, "IP:PORT".
    pub addr: [c_char; 64],
    /// The TCP port of its gossip; 0: it does not gossip.
    pub gossip_port: u16,
    /// Whether it is this very member.
    pub is_self: bool,
    /// Whether it is probed for ever.
    pub persistent: bool,
    /// How it fares.
    pub health: butterfly_health,
    /// The incarnation of its record.
    pub incarnation: u64,
    /// The last direct round trip in microseconds; -1: never measured.
    pub rtt_us: i64,
}

/// Members, as they were when the list was made.
pub struct butterfly_members(vec::IntoIter<butterfly_member>);

/// The members that this one knows, itself included, as a list that the caller frees with butterfly_members_free(). It
/// does not need the member any more. NULL if `member` is NULL.
///
/// # Safety
/// The member is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_members_new(member: *const butterfly) -> *mut butterfly_members {
    let mut list = std::ptr::null_mut();
    let act = |member: &butterfly| {
        let seen = member.member.node().members().map(|seen| butterfly_member {
            id: hex(seen.member.id),
            name: raw::fixed(seen.name),
            addr: place(seen.member.swim_addr()),
            gossip_port: seen.member.gossip_port,
            is_self: seen.is_self,
            persistent: seen.member.persistent,
            health: health(Some(seen.health)),
            incarnation: seen.member.incarnation.get(),
            rtt_us: seen
                .rtt
                .map_or(-1, |rtt| i64::try_from(rtt.as_micros()).unwrap_or(i64::MAX)),
        });
        let seen: Vec<_> = seen.collect();
        list = Box::into_raw(Box::new(butterfly_members(seen.into_iter())));
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) };
    list
}

/// The next one goes to `member`, of which the caller knows `size` bytes: sizeof(butterfly_member). Whether there was one.
///
/// # Safety
/// The list is NULL or valid; so many bytes can be written to `member`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_members_next(
    list: *mut butterfly_members,
    member: *mut butterfly_member,
    size: usize,
) -> bool {
    let mut there_was = false;
    guard(|| {
        raw::check_room("member", member, size, 1)?;
        // SAFETY: the caller's.
        let list = unsafe { raw::exclusive("list", list) }?;
        if let Some(next) = list.0.next() {
            // SAFETY: the caller's.
            unsafe { raw::give("member", member, size, &next) }?;
            there_was = true;
        }
        Ok(())
    });
    there_was
}

/// Frees a list. NULL is nothing to free.
///
/// # Safety
/// It is NULL, or from `butterfly_members_new` and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_members_free(list: *mut butterfly_members) {
    if !list.is_null() {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(list) });
    }
}

/// A service that a member runs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_service {
    /// The member that runs it: 32 hexadecimal digits.
    pub member: [c_char; 33],
    /// How that member fares.
    pub health: butterfly_health,
    /// The group. This text and those below are the list's, and valid until it is freed.
    pub group: *const c_char,
    /// Its package.
    pub package: *const c_char,
    /// The IP address of its machine as it says it, or empty.
    pub ip: *const c_char,
    /// Its machine's name, or empty.
    pub hostname: *const c_char,
    /// What it tells the other services, in TOML.
    pub config: *const u8,
    /// How many bytes that is.
    pub config_length: usize,
    /// Its version.
    pub incarnation: u64,
}

struct Row {
    shown: butterfly_service,
    /// What it points to.
    _texts: [CString; 4],
    _config: Box<[u8]>,
}

/// Services, as they were when the list was made.
pub struct butterfly_services {
    rows: Vec<Row>,
    next: usize,
}

/// The services that members run, of a group, or of all if `group` is NULL, as a list that the caller frees with
/// butterfly_services_free(). Those that were withdrawn are left out. NULL if `member` is NULL or the group does not read.
///
/// # Safety
/// The member is NULL or valid; the group is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_services_new(
    member: *const butterfly,
    group: *const c_char,
) -> *mut butterfly_services {
    let mut list = std::ptr::null_mut();
    let act = |member: &butterfly| {
        let group: Option<ServiceGroup> = match group.is_null() {
            true => None,
            // SAFETY: the caller's.
            false => Some(unsafe { raw::parsed("group", group) }?),
        };
        let node = member.member.node();
        let rumors = node.rumors_of(RumorKind::Service);
        let services = rumors.filter_map(|seen| match seen.rumor() {
            Some(Rumor::Service(service)) => Some(service),
            _ => None,
        });
        let asked = services.filter(|service| {
            !service.is_withdrawn() && group.as_ref().is_none_or(|group| *group == service.group)
        });
        let rows = asked.map(|service| {
            let texts = [
                raw::text_for_c(service.group.as_str()),
                raw::text_for_c(&service.pkg),
                raw::text_for_c(&service.sys.ip),
                raw::text_for_c(&service.sys.hostname),
            ];
            let config = service.cfg.into_boxed_slice();
            let shown = butterfly_service {
                member: hex(service.member),
                health: health(node.health_of(service.member)),
                group: texts[0].as_ptr(),
                package: texts[1].as_ptr(),
                ip: texts[2].as_ptr(),
                hostname: texts[3].as_ptr(),
                config: config.as_ptr(),
                config_length: config.len(),
                incarnation: service.incarnation,
            };
            Row {
                shown,
                _texts: texts,
                _config: config,
            }
        });
        let rows = rows.collect();
        list = Box::into_raw(Box::new(butterfly_services { rows, next: 0 }));
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) };
    list
}

/// The next one goes to `service`, of which the caller knows `size` bytes: sizeof(butterfly_service). Whether there was one.
///
/// # Safety
/// The list is NULL or valid; so many bytes can be written to `service`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_services_next(
    list: *mut butterfly_services,
    service: *mut butterfly_service,
    size: usize,
) -> bool {
    let mut there_was = false;
    guard(|| {
        raw::check_room("service", service, size, 1)?;
        // SAFETY: the caller's.
        let list = unsafe { raw::exclusive("list", list) }?;
        if let Some(row) = list.rows.get(list.next) {
            list.next += 1;
            // SAFETY: the caller's.
            unsafe { raw::give("service", service, size, &row.shown) }?;
            there_was = true;
        }
        Ok(())
    });
    there_was
}

/// Frees a list. NULL is nothing to free.
///
/// # Safety
/// It is NULL, or from `butterfly_services_new` and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_services_free(list: *mut butterfly_services) {
    if !list.is_null() {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(list) });
    }
}

/// What a content is given to.
struct To {
    bytes: *mut *const u8,
    length: *mut usize,
    version: *mut u64,
}

/// Gives the content of a configuration or file.
///
/// # Safety
/// The member is NULL or valid, and nobody else uses it; `to` points to what can be written, the version or to nothing.
unsafe fn content(
    member: *mut butterfly,
    what: impl FnOnce() -> Result<RumorId, Failure>,
    to: To,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        let id = what()?;
        let held = member
            .member
            .node()
            .rumor(&id)
            .and_then(|seen| seen.rumor());
        let (content, held_version) = match held {
            Some(Rumor::ServiceConfig(held)) => (held.config, held.incarnation),
            Some(Rumor::ServiceFile(held)) => (held.body, held.incarnation),
            _ => (Vec::new(), 0),
        };
        if content.is_empty() {
            let what = format!("{} holds no {}", id.key, id.id);
            return Err(Failure(BUTTERFLY_NOT_FOUND, what));
        }
        member.content = content;
        // SAFETY: the caller's.
        unsafe {
            *raw::exclusive("bytes", to.bytes)? = member.content.as_ptr();
            *raw::exclusive("length", to.length)? = member.content.len();
            if let Some(version) = to.version.as_mut() {
                *version = held_version;
            }
        }
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// A service group's configuration: its bytes, how many, and its version, unless `version` is NULL. They are the
/// member's, and valid until the next butterfly_config_of() or butterfly_file_of().
///
/// # Safety
/// The member is NULL or valid, and nobody else uses it; `group` is NULL or a text; the rest can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_config_of(
    member: *mut butterfly,
    group: *const c_char,
    bytes: *mut *const u8,
    length: *mut usize,
    version: *mut u64,
) -> butterfly_status {
    // SAFETY: the caller's, here and below.
    let what = || Ok(RumorId::config(&unsafe { raw::parsed("group", group) }?));
    unsafe {
        content(
            member,
            what,
            To {
                bytes,
                length,
                version,
            },
        )
    }
}

/// A service group's file, likewise.
///
/// # Safety
/// The member is NULL or valid, and nobody else uses it; texts are NULL or valid; the rest can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_file_of(
    member: *mut butterfly,
    group: *const c_char,
    filename: *const c_char,
    bytes: *mut *const u8,
    length: *mut usize,
    version: *mut u64,
) -> butterfly_status {
    let what = || {
        // SAFETY: the caller's.
        let (group, filename) = unsafe {
            let group: ServiceGroup = raw::parsed("group", group)?;
            (group, raw::text("filename", filename)?)
        };
        Ok(RumorId::file(&group, filename))
    };
    // SAFETY: the caller's.
    unsafe {
        content(
            member,
            what,
            To {
                bytes,
                length,
                version,
            },
        )
    }
}

/// Who leads a service group, as far as this member knows: 32 hexadecimal digits, copied to `to`, which has room for 33
/// bytes. BUTTERFLY_NOT_FOUND: nobody.
///
/// # Safety
/// The member is NULL or valid; `group` is NULL or a text; 33 bytes can be written to `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_leader_of(
    member: *const butterfly,
    group: *const c_char,
    to: *mut c_char,
) -> butterfly_status {
    let act = |member: &butterfly| {
        // SAFETY: the caller's.
        let (group, to) = unsafe {
            let group: ServiceGroup = raw::parsed("group", group)?;
            (group, raw::exclusive("to", to.cast::<[c_char; 33]>())?)
        };
        let election = member.member.node().election(RumorKind::Election, &group);
        let leader = election.and_then(|election| election.leader());
        let leader =
            leader.ok_or_else(|| Failure(BUTTERFLY_NOT_FOUND, format!("nobody leads {group}")))?;
        *to = hex(leader);
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) }
}
