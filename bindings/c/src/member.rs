//! A member of a ring: starting it, driving it, commanding it and ending it.

use std::ffi::{c_char, c_int};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use engine::{
    Butterfly, CommandError, MemberId, RumorId, RumorKind, Seed, SeedId, Service, ServiceConfig,
    ServiceFile, ServiceGroup,
};

use crate::config::{self, butterfly_config};
use crate::event::Texts;
use crate::raw;
use crate::status::{Failure, butterfly_status, guard};
use butterfly_status::{
    BUTTERFLY_BUG, BUTTERFLY_CANNOT_START, BUTTERFLY_NOT_FOUND, BUTTERFLY_REFUSED, BUTTERFLY_SYSTEM,
};

/// A member of a ring.
pub struct butterfly {
    pub(crate) member: Butterfly,
    /// Seeds that were given by name; their numbers are their places.
    pub(crate) seeds: Vec<SeedId>,
    /// Those of butterfly_join().
    joined: Vec<(Seed, SeedId)>,
    /// What the last event's texts point to.
    pub(crate) texts: Texts,
    /// What butterfly_config_of() or butterfly_file_of() gave last.
    pub(crate) content: Vec<u8>,
    /// A call panicked: nothing in here is to be relied upon.
    broken: bool,
}

impl butterfly {
    /// The number by which C knows this seed.
    pub(crate) fn number_of(&self, seed: SeedId) -> u32 {
        let place = self.seeds.iter().position(|known| *known == seed);
        place.map_or(u32::MAX, |place| place as u32)
    }

    fn version(&self, id: &RumorId, version: u64) -> Result<u64, Failure> {
        match version {
            0 => self
                .member
                .node()
                .next_version(id, 0)
                .map_err(refused),
            version => Ok(version),
        }
    }
}

pub(crate) fn refused(error: CommandError) -> Failure {
    Failure(BUTTERFLY_REFUSED, error.to_string())
}

fn found(was_there: bool, what: &str) -> Result<(), Failure> {
    match was_there {
        true => Ok(()),
        false => Err(Failure(
            BUTTERFLY_NOT_FOUND,
            format!("there is no such {what}"),
        )),
    }
}

impl butterfly {
    fn check(&self) -> Result<(), Failure> {
        match self.broken {
            true => {
                let why = "a call before hit a bug: free this member, and start another";
                Err(Failure(BUTTERFLY_BUG, why.to_owned()))
            }
            false => Ok(()),
        }
    }
}

/// Lets the member do it.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it.
pub(crate) unsafe fn with(
    member: *mut butterfly,
    act: impl FnOnce(&mut butterfly) -> Result<(), Failure>,
) -> butterfly_status {
    let status = guard(|| {
        // SAFETY: the caller's.
        let member = unsafe { raw::exclusive("member", member) }?;
        member.check()?;
        act(member)
    });
    // SAFETY: the caller's.
    if let (BUTTERFLY_BUG, Some(member)) = (status, unsafe { member.as_mut() }) {
        member.broken = true;
    }
    status
}

/// Looks at the member.
///
/// # Safety
/// It is NULL or valid, and nobody changes it.
pub(crate) unsafe fn look(
    member: *const butterfly,
    act: impl FnOnce(&butterfly) -> Result<(), Failure>,
) -> butterfly_status {
    guard(|| {
        // SAFETY: the caller's.
        let member = unsafe { raw::shared("member", member) }?;
        member.check()?;
        act(member)
    })
}

/// Starts a member and gives it to the caller, who frees it with butterfly_free(). It reads its data directory, if it has
/// one, and may be busy for a moment if that holds a lot.
///
/// # Safety
/// The configuration was filled in by `butterfly_config_init`, and its pointers are NULL or valid; a pointer can be
/// written to `member`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_new(
    config: *const butterfly_config,
    member: *mut *mut butterfly,
) -> butterfly_status {
    guard(|| {
        // SAFETY: the caller's.
        let (config, to) = unsafe { (config::read(config)?, raw::exclusive("member", member)?) };
        *to = std::ptr::null_mut();
        let member = Butterfly::bind(config)
            .map_err(|error| Failure(BUTTERFLY_CANNOT_START, error.to_string()))?;
        *to = Box::into_raw(Box::new(butterfly {
            member,
            seeds: Vec::new(),
            joined: Vec::new(),
            texts: Texts::default(),
            content: Vec::new(),
            broken: false,
        }));
        Ok(())
    })
}

/// Ends a member without leaving the ring (others will find it dead: see butterfly_leave()), waits until its data directory
/// has what it is to keep, and frees it. NULL is nothing to free.
///
/// # Safety
/// It is NULL, or from `butterfly_new` and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_free(member: *mut butterfly) {
    if member.is_null() {
        return;
    }
    guard(|| {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(member) });
        Ok(())
    });
}

/// The descriptor to watch for readability, level- or edge-triggered: the same as long as the member is there, and not to
/// be read or closed. -1 if `member` is NULL.
///
/// # Safety
/// It is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_fd(member: *const butterfly) -> c_int {
    let mut fd = -1;
    let act = |member: &butterfly| {
        fd = member.member.as_raw_fd();
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) };
    fd
}

/// In how many microseconds butterfly_process() is to be called at the latest; 0: now; -1: only when the descriptor is
/// readable. It changes with each call of a function that takes the member, so ask before each wait.
///
/// # Safety
/// It is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_timeout_us(member: *const butterfly) -> i64 {
    // SAFETY: the caller's.
    match unsafe { left(member) } {
        Some(left) => i64::try_from(left.as_micros()).unwrap_or(i64::MAX),
        None => -1,
    }
}

/// The same in milliseconds, rounded up: a timeout for poll() or epoll_wait().
///
/// # Safety
/// It is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_timeout_ms(member: *const butterfly) -> c_int {
    // SAFETY: the caller's.
    match unsafe { left(member) } {
        Some(left) => c_int::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(c_int::MAX),
        None => -1,
    }
}

/// The deadline as a time of CLOCK_MONOTONIC, in nanoseconds, for timerfd_settime() and loops with absolute timers;
/// 0: now; -1: only when the descriptor is readable.
///
/// # Safety
/// It is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_deadline_ns(member: *const butterfly) -> i64 {
    // SAFETY: the caller's.
    match unsafe { left(member) } {
        Some(Duration::ZERO) => 0,
        Some(left) => {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
            i64::try_from((now + left).as_nanos()).unwrap_or(i64::MAX)
        }
        None => -1,
    }
}

/// # Safety
/// It is NULL or valid.
unsafe fn left(member: *const butterfly) -> Option<Duration> {
    let mut deadline = None;
    let act = |member: &butterfly| {
        deadline = member.member.deadline();
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) };
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}

/// Does what there is to do: answers what has come, up to a bound, and serves the timers. It never waits. To call it early
/// or for nothing is harmless; late calls are noticed, and make this member doubt itself.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_process(member: *mut butterfly) -> butterfly_status {
    let act = |member: &mut butterfly| {
        let processed = member.member.process();
        processed.map_err(|error| Failure(BUTTERFLY_SYSTEM, error.to_string()))
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// The address that the member is bound to, "IP:PORT", which does not change. Copied to `to`, which has room for 64 bytes.
///
/// # Safety
/// It is NULL or valid; 64 bytes can be written to `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_local_addr(
    member: *const butterfly,
    to: *mut c_char,
) -> butterfly_status {
    let act = |member: &butterfly| {
        // SAFETY: the caller's.
        let to = unsafe { raw::exclusive("to", to.cast::<[c_char; 64]>()) }?;
        *to = raw::fixed(&member.member.local_addr().to_string());
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) }
}

/// The member's id, 32 hexadecimal digits. Copied to `to`, which has room for 33 bytes.
///
/// # Safety
/// It is NULL or valid; 33 bytes can be written to `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_id(
    member: *const butterfly,
    to: *mut c_char,
) -> butterfly_status {
    let act = |member: &butterfly| {
        // SAFETY: the caller's.
        let to = unsafe { raw::exclusive("to", to.cast::<[c_char; 33]>()) }?;
        *to = raw::fixed(&member.member.node().id().to_string());
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { look(member, act) }
}

/// Asks this peer, "HOST:PORT", for members of the ring, from now on, ever more slowly. A name is looked up at each attempt,
/// on a thread of its own that ends with that; butterfly_join_named() is for those who resolve names themselves.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `peer` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_join(
    member: *mut butterfly,
    peer: *const c_char,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let seed = unsafe { peer_of(peer) }?;
        let id = member.member.join(seed.clone()).map_err(refused)?;
        member.joined.retain(|(known, _)| *known != seed);
        member.joined.push((seed, id));
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// # Safety
/// `peer` is NULL or a text.
unsafe fn peer_of(peer: *const c_char) -> Result<Seed, Failure> {
    // SAFETY: the caller's.
    let text = unsafe { raw::text("peer", peer) }?;
    let seed = Seed::from(text);
    let wrong = |error| Failure::argument("peer", format_args!("{text:?}: {error}"));
    seed.check().map_err(wrong)?;
    Ok(seed)
}

/// Asks a peer of butterfly_join() no more. BUTTERFLY_NOT_FOUND: it was not asked.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `peer` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_unjoin(
    member: *mut butterfly,
    peer: *const c_char,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let seed = unsafe { peer_of(peer) }?;
        let place = member.joined.iter().position(|(known, _)| *known == seed);
        let place =
            place.ok_or_else(|| Failure(BUTTERFLY_NOT_FOUND, format!("{seed} is not asked")))?;
        let (_, id) = member.joined.swap_remove(place);
        member.member.unjoin(id);
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Has a seed asked that is known by name. Its number goes to `seed`; a BUTTERFLY_SEED_DUE with that number asks for the
/// name's addresses, now and at each attempt: resolve it as suits the loop, and call butterfly_seed_resolved().
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; a number can be written to `seed`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_join_named(
    member: *mut butterfly,
    seed: *mut u32,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let seed = unsafe { raw::exclusive("seed", seed) }?;
        let id = member.member.join_named().map_err(refused)?;
        *seed = member.seeds.len() as u32;
        member.seeds.push(id);
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// The seed's name stands for these addresses, "IP:PORT", at the moment. None: it could not be resolved.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; there are so many texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_seed_resolved(
    member: *mut butterfly,
    seed: u32,
    addrs: *const *const c_char,
    count: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's, here and below.
        let texts = unsafe { raw::items("addrs", addrs, count) }?;
        let addr = |text: &*const c_char| unsafe { raw::parsed("addrs", *text) };
        let addrs: Vec<SocketAddr> = texts.iter().map(addr).collect::<Result<_, _>>()?;
        let seed = member.seeds.get(seed as usize).copied();
        let seed =
            seed.ok_or_else(|| Failure(BUTTERFLY_NOT_FOUND, "there is no such seed".into()))?;
        member.member.seed_resolved(seed, &addrs);
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Leaves the ring: others are told. Go on driving the member until BUTTERFLY_LEFT, and free it then.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_leave(member: *mut butterfly) -> butterfly_status {
    let act = |member: &mut butterfly| {
        member.member.leave();
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Seals with the first of these keys and opens with any, from now on; none: everything is plain. Texts of key files.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; there are so many texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_set_ring_keys(
    member: *mut butterfly,
    keys: *const *const c_char,
    count: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let keys = unsafe { config::ring_keys(keys, count) }?;
        member.member.set_ring_keys(keys);
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Ignores messages from the member of this id from now on, or heeds them again.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `id` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_block(
    member: *mut butterfly,
    id: *const c_char,
    on: bool,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let id: MemberId = unsafe { raw::parsed("id", id) }?;
        match on {
            true => member.member.block(id).map_err(refused),
            false => found(member.member.unblock(id), "blocked member"),
        }
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// This member runs a service of a group ("redis.default"), of a package ("acme/redis/7.2.1/20260101000000"). `config` is
/// what it tells the other services, in TOML, `length` bytes; it may be NULL. Announced again, it takes the place of what was said before.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; texts are NULL or valid; `config` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_announce(
    member: *mut butterfly,
    group: *const c_char,
    package: *const c_char,
    config: *const u8,
    length: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let (group, package, config) = unsafe {
            let group: ServiceGroup = raw::parsed("group", group)?;
            let package = raw::text("package", package)?;
            (group, package, raw::items("config", config, length)?)
        };
        let mut service = Service::new(group, package);
        service.cfg = config.to_vec();
        member.member.announce(service).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// This member runs no service of the group any more.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `group` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_withdraw(
    member: *mut butterfly,
    group: *const c_char,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let group: ServiceGroup = unsafe { raw::parsed("group", group) }?;
        found(
            member.member.withdraw(&group).map_err(refused)?,
            "service of this member",
        )
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Gives a service group this configuration, in TOML, `length` bytes; none: it is removed. `version`: the higher one wins;
/// 0: the one after the current.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `group` is NULL or a text; `config` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_apply_config(
    member: *mut butterfly,
    group: *const c_char,
    version: u64,
    config: *const u8,
    length: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let (group, config) = unsafe {
            let group: ServiceGroup = raw::parsed("group", group)?;
            (group, raw::items("config", config, length)?)
        };
        if config.is_empty() {
            return found(
                member.member.remove_config(&group).map_err(refused)?,
                "configuration",
            );
        }
        let version = member.version(&RumorId::config(&group), version)?;
        let config = ServiceConfig::new(group, version, config);
        member.member.apply_config(config).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Gives a service group a file of this name, `length` bytes; none: it is removed. `version`: as of a configuration.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; texts are NULL or valid; `body` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_apply_file(
    member: *mut butterfly,
    group: *const c_char,
    filename: *const c_char,
    version: u64,
    body: *const u8,
    length: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let (group, filename, body) = unsafe {
            let group: ServiceGroup = raw::parsed("group", group)?;
            let filename = raw::text("filename", filename)?;
            (group, filename, raw::items("body", body, length)?)
        };
        if body.is_empty() {
            let removed = member.member.remove_file(&group, filename);
            return found(removed.map_err(refused)?, "file");
        }
        let version = member.version(&RumorId::file(&group, filename), version)?;
        let file = ServiceFile::new(group, version, filename, body);
        member.member.apply_file(file).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Has a service group elect a leader. `suitability` is this member's: the highest one leads.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `group` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_start_election(
    member: *mut butterfly,
    group: *const c_char,
    suitability: u64,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let group: ServiceGroup = unsafe { raw::parsed("group", group) }?;
        let started = member
            .member
            .start_election(RumorKind::Election, &group, suitability);
        started.map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Has a member depart for good: it stops, and its id is not accepted again.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `id` is NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_depart(
    member: *mut butterfly,
    id: *const c_char,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let id: MemberId = unsafe { raw::parsed("id", id) }?;
        member.member.depart(id).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Has the ring forget these dead members, given by their ids, with their services and tags. It is no ban: one that lives
/// after all is known again. A living one is refused, and so are the others with it.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; there are so many texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_forget(
    member: *mut butterfly,
    ids: *const *const c_char,
    count: usize,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's, here and below.
        let texts = unsafe { raw::items("ids", ids, count) }?;
        let id = |text: &*const c_char| unsafe { raw::parsed("ids", *text) };
        let ids: Vec<MemberId> = texts.iter().map(id).collect::<Result<_, _>>()?;
        member.member.forget(&ids).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}
