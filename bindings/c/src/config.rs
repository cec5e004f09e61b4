//! What a member is told before it starts.

use std::ffi::c_char;
use std::path::PathBuf;

use engine::{Config, RingKey, Timing};

use crate::raw;
use crate::status::{Failure, butterfly_status, guard};

/// What a member is told before it starts; butterfly_config_init() gives the defaults. Nothing of it is needed once
/// butterfly_new() has returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_config {
    /// Bytes of this structure that the caller knows: set by butterfly_config_init().
    pub size: usize,
    /// The UDP address to bind, "IP:PORT"; port 0 lets the system choose. Needed.
    pub listen: *const c_char,
    /// Where others reach this member, "IP:PORT", if that is not where it listens; or NULL.
    pub advertise: *const c_char,
    /// A name for people, at most 64 bytes: a longer one is cut, and the log says so; or NULL.
    pub name: *const c_char,
    /// Its id, 32 lowercase hexadecimal digits; NULL: the one in the data directory, else a random one.
    pub id: *const c_char,
    /// The name of its ring, the same at all members; or NULL.
    pub ring: *const c_char,
    /// How fast it goes: "lan" (NULL stands for it), "wan", "habitat" or "local". The same at all members.
    pub timing: *const c_char,
    /// Where it keeps its id, its incarnation and a snapshot of all members and rumors; NULL: nowhere.
    pub data_dir: *const c_char,
    /// Texts of ring key files: the first seals, any opens. NULL if there are none: everything is plain.
    pub ring_keys: *const *const c_char,
    /// How many there are.
    pub ring_key_count: usize,
    /// Bytes of rumors that it holds at most; 0: the default. The same at all members.
    pub store_limit: usize,
    /// The TCP port of its gossip; 0: the same number as the UDP port; -1: the system chooses.
    pub gossip_port: i32,
    /// Whether it takes part in membership alone, without gossip and its TCP port.
    pub no_gossip: bool,
    /// Whether others probe it for ever, so that partitions heal through it.
    pub persistent: bool,
}

impl butterfly_config {
    fn defaults(size: usize) -> Self {
        butterfly_config {
            size,
            listen: std::ptr::null(),
            advertise: std::ptr::null(),
            name: std::ptr::null(),
            id: std::ptr::null(),
            ring: std::ptr::null(),
            timing: std::ptr::null(),
            data_dir: std::ptr::null(),
            ring_keys: std::ptr::null(),
            ring_key_count: 0,
            store_limit: 0,
            gossip_port: 0,
            no_gossip: false,
            persistent: false,
        }
    }
}

/// Fills in the defaults. `size` is sizeof(butterfly_config).
///
/// # Safety
/// So many bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_config_init(
    config: *mut butterfly_config,
    size: usize,
) -> butterfly_status {
    guard(|| {
        let defaults = butterfly_config::defaults(size);
        // SAFETY: the caller's.
        unsafe { raw::give("config", config, size, &defaults) }
    })
}

/// What it says.
///
/// # Safety
/// It is NULL, or was filled in by `butterfly_config_init`, and its pointers are NULL or valid.
pub unsafe fn read(config: *const butterfly_config) -> Result<Config, Failure> {
    // SAFETY: the size comes first, whatever the caller knows of the rest.
    let size = unsafe { raw::shared("config", config.cast::<usize>()) }?;
    let size = *size;
    if size < size_of::<usize>() || size > 1 << 16 {
        let why = "its size is not set: call butterfly_config_init() first";
        return Err(Failure::argument("config", why));
    }
    let mut given = butterfly_config::defaults(size);
    let known = size.min(size_of::<butterfly_config>());
    // SAFETY: the caller's; so many bytes are there.
    unsafe {
        let (from, to) = (
            config.cast::<u8>(),
            std::ptr::from_mut(&mut given).cast::<u8>(),
        );
        std::ptr::copy_nonoverlapping(from, to, known);
    }
    // SAFETY: the caller's.
    unsafe { given.read() }
}

impl butterfly_config {
    /// # Safety
    /// Its pointers are NULL or valid.
    unsafe fn read(&self) -> Result<Config, Failure> {
        // SAFETY: the caller's, here and below.
        let mut config = Config::new(unsafe { raw::parsed("listen", self.listen) }?);
        if !self.advertise.is_null() {
            config.advertise = Some(unsafe { raw::parsed("advertise", self.advertise) }?);
        }
        if let Some(name) = unsafe { raw::optional_text("name", self.name) }? {
            config.name = name.to_owned();
        }
        if !self.id.is_null() {
            config.id = Some(unsafe { raw::parsed("id", self.id) }?);
        }
        if !self.ring.is_null() {
            config.ring = Some(unsafe { raw::parsed("ring", self.ring) }?);
        }
        if let Some(preset) = unsafe { raw::optional_text("timing", self.timing) }? {
            config.timing = Timing::preset(preset).ok_or_else(|| {
                let known = Timing::PRESETS.join(", ");
                Failure::argument("timing", format_args!("{preset:?} is none of {known}"))
            })?;
        }
        if let Some(dir) = unsafe { raw::optional_text("data_dir", self.data_dir) }? {
            config.data_dir = Some(PathBuf::from(dir));
        }
        config.ring_keys = unsafe { ring_keys(self.ring_keys, self.ring_key_count) }?;
        if self.store_limit > 0 {
            config.store_limit = self.store_limit;
        }
        config.gossip_port = match self.gossip_port {
            0 => None,
            -1 => Some(0),
            port => Some(
                u16::try_from(port)
                    .map_err(|_| Failure::argument("gossip_port", "it is no port, 0 or -1"))?,
            ),
        };
        config.gossip = !self.no_gossip;
        config.persistent = self.persistent;
        Ok(config)
    }
}

/// Ring keys, from the texts of their files.
///
/// # Safety
/// There are so many texts, each valid.
pub unsafe fn ring_keys(
    texts: *const *const c_char,
    count: usize,
) -> Result<Vec<RingKey>, Failure> {
    // SAFETY: the caller's, here and below.
    let texts = unsafe { raw::items("ring_keys", texts, count) }?;
    let read = |text: &*const c_char| {
        let text = unsafe { raw::text("ring_keys", *text) }?;
        let why = "it is not the text of a ring key file (its path is not wanted here)";
        RingKey::parse(text).map_err(|_| Failure::argument("ring_keys", why))
    };
    texts.iter().map(read).collect()
}
