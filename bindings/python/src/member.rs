//! A member without a loop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use engine::{
    Butterfly, Config, MemberId, RingKey, Rumor, RumorId, RumorKind, SeedId, Service,
    ServiceConfig, ServiceFile, ServiceGroup, TagSet, Timing, UserEvent,
};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{ClosedError, StartError, bad, refused};
use crate::events;

/// A member of a ring. Watch `fileno()` for readability, wait no longer than `timeout()` seconds, then call `process()`
/// and take the events of `next_event()`. Only the thread that made it may use it.
#[pyclass(unsendable)]
pub struct Member {
    /// `None`: it was closed.
    member: Option<Butterfly>,
    /// Whom it was told to ask; Python knows them by their places.
    seeds: Vec<SeedId>,
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> PyResult<T> {
    text.parse()
        .map_err(|error| bad(name, format_args!("{text:?}: {error}")))
}

fn group(text: &str) -> PyResult<ServiceGroup> {
    parsed("group", text)
}

fn seconds(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| bad(name, error))
}

fn ring_keys(texts: &[String]) -> PyResult<Vec<RingKey>> {
    let why = "it is not the text of a ring key file (its path is not wanted here)";
    let read = |text: &String| RingKey::parse(text).map_err(|_| bad("ring_keys", why));
    texts.iter().map(read).collect()
}

impl Member {
    fn open(&mut self) -> PyResult<&mut Butterfly> {
        self.member
            .as_mut()
            .ok_or_else(|| ClosedError::new_err("the member was closed"))
    }

    fn seen(&self) -> PyResult<&Butterfly> {
        self.member
            .as_ref()
            .ok_or_else(|| ClosedError::new_err("the member was closed"))
    }

    fn version(&self, id: &RumorId, version: Option<u64>) -> PyResult<u64> {
        match version {
            Some(version) => Ok(version),
            None => self
                .seen()?
                .node()
                .next_version(id, 0)
                .map_err(refused),
        }
    }

    fn rumor(&self, id: &RumorId) -> PyResult<Option<Rumor>> {
        Ok(self.seen()?.node().rumor(id).and_then(|held| held.rumor()))
    }
}

#[pymethods]
impl Member {
    #[new]
    #[pyo3(signature = (listen, *, advertise=None, name="", id=None, ring=None, timing="lan", data_dir=None,
        ring_keys=Vec::new(), gossip=true, gossip_port=None, persistent=false, store_limit=None))]
    #[allow(clippy::too_many_arguments)] // They have names in Python.
    fn new(
        listen: &str,
        advertise: Option<&str>,
        name: &str,
        id: Option<&str>,
        ring: Option<&str>,
        timing: &str,
        data_dir: Option<PathBuf>,
        ring_keys: Vec<String>,
        gossip: bool,
        gossip_port: Option<u16>,
        persistent: bool,
        store_limit: Option<usize>,
    ) -> PyResult<Self> {
        let mut config = Config::new(parsed("listen", listen)?);
        config.advertise = advertise
            .map(|text| parsed("advertise", text))
            .transpose()?;
        config.name = name.to_owned();
        config.id = id.map(|text| parsed("id", text)).transpose()?;
        config.ring = ring.map(|text| parsed("ring", text)).transpose()?;
        config.timing = Timing::preset(timing).ok_or_else(|| {
            let known = Timing::PRESETS.join(", ");
            bad("timing", format_args!("{timing:?} is none of {known}"))
        })?;
        config.data_dir = data_dir;
        config.ring_keys = self::ring_keys(&ring_keys)?;
        config.gossip = gossip;
        config.gossip_port = gossip_port;
        config.persistent = persistent;
        if let Some(limit) = store_limit {
            config.store_limit = limit;
        }
        let member =
            Butterfly::bind(config).map_err(|error| StartError::new_err(error.to_string()))?;
        Ok(Member {
            member: Some(member),
            seeds: Vec::new(),
        })
    }

    /// Ends it without leaving the ring, once its data directory has what it is to keep. Again: nothing.
    fn close(&mut self, python: Python<'_>) {
        let member = self.member.take();
        // The disk may take its time, and other threads of Python go on meanwhile.
        python.detach(|| drop(member));
    }

    /// The descriptor to watch for readability.
    fn fileno(&self) -> PyResult<RawFd> {
        Ok(self.seen()?.as_raw_fd())
    }

    /// In how many seconds `process()` is to be called at the latest; None: only when the descriptor is readable.
    fn timeout(&self) -> PyResult<Option<f64>> {
        let deadline = self.seen()?.deadline();
        Ok(deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64()))
    }

    /// Does what there is to do, and never waits.
    fn process(&mut self) -> PyResult<()> {
        self.open()?
            .process()
            .map_err(|error| PyOSError::new_err(error.to_string()))
    }

    /// The next event's name and fields, or None.
    fn next_event<'py>(
        &mut self,
        python: Python<'py>,
    ) -> PyResult<Option<(&'static str, Bound<'py, PyDict>)>> {
        let Some(event) = self.open()?.poll_event() else {
            return Ok(None);
        };
        let number = |seed| {
            self.seeds
                .iter()
                .position(|known| *known == seed)
                .unwrap_or(usize::MAX)
        };
        events::told(python, event, number).map(Some)
    }

    #[getter]
    fn local_addr(&self) -> PyResult<String> {
        Ok(self.seen()?.local_addr().to_string())
    }

    #[getter]
    fn id(&self) -> PyResult<String> {
        Ok(self.seen()?.node().id().to_string())
    }

    /// How many members there are of each health.
    fn counts(&self) -> PyResult<(usize, usize, usize, usize)> {
        let counts = self.seen()?.node().counts();
        Ok((
            counts.alive,
            counts.suspect,
            counts.confirmed,
            counts.departed,
        ))
    }

    /// All members that it knows, itself included, as dictionaries.
    fn members<'py>(&self, python: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let row = |seen: engine::MemberView<'_>| {
            let fields = PyDict::new(python);
            fields.set_item("id", seen.member.id.to_string())?;
            fields.set_item("name", seen.name)?;
            fields.set_item("addr", seen.member.swim_addr().to_string())?;
            fields.set_item("gossip_port", seen.member.gossip_port)?;
            fields.set_item("health", seen.health.as_str())?;
            fields.set_item("incarnation", seen.member.incarnation.get())?;
            fields.set_item("is_self", seen.is_self)?;
            fields.set_item("persistent", seen.member.persistent)?;
            fields.set_item("rtt", seen.rtt.map(|rtt| rtt.as_secs_f64()))?;
            Ok(fields)
        };
        self.seen()?.node().members().map(row).collect()
    }

    /// The services that members run, of a group or of all, as dictionaries.
    #[pyo3(signature = (group=None))]
    fn services<'py>(
        &self,
        python: Python<'py>,
        group: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let asked = group.map(self::group).transpose()?;
        let node = self.seen()?.node();
        let mut rows = Vec::new();
        for seen in node.rumors_of(RumorKind::Service) {
            let Some(Rumor::Service(service)) = seen.rumor() else {
                continue;
            };
            if service.is_withdrawn() || asked.as_ref().is_some_and(|group| *group != service.group)
            {
                continue;
            }
            let fields = PyDict::new(python);
            fields.set_item("member", service.member.to_string())?;
            let health = node.health_of(service.member);
            fields.set_item("health", health.map(|health| health.as_str()))?;
            fields.set_item("group", service.group.as_str())?;
            fields.set_item("package", &service.pkg)?;
            fields.set_item("ip", &service.sys.ip)?;
            fields.set_item("hostname", &service.sys.hostname)?;
            fields.set_item("config", &service.cfg[..])?;
            fields.set_item("incarnation", service.incarnation)?;
            rows.push(fields);
        }
        Ok(rows)
    }

    fn join(&mut self, addr: &str) -> PyResult<usize> {
        let addr: SocketAddr = parsed("addr", addr)?;
        let seed = self.open()?.join(addr).map_err(refused)?;
        self.seeds.push(seed);
        Ok(self.seeds.len() - 1)
    }

    /// Asks a seed no more; whether it was asked.
    fn unjoin(&mut self, seed: usize) -> PyResult<bool> {
        let known = self.seeds.get(seed).copied();
        let seed = known.ok_or_else(|| bad("seed", "there is no such seed"))?;
        Ok(self.open()?.unjoin(seed))
    }

    fn join_named(&mut self) -> PyResult<usize> {
        let seed = self.open()?.join_named().map_err(refused)?;
        self.seeds.push(seed);
        Ok(self.seeds.len() - 1)
    }

    fn seed_resolved(&mut self, seed: usize, addrs: Vec<String>) -> PyResult<()> {
        let addrs = addrs.iter().map(|text| parsed("addrs", text));
        let addrs: Vec<SocketAddr> = addrs.collect::<PyResult<_>>()?;
        let known = self.seeds.get(seed).copied();
        let seed = known.ok_or_else(|| bad("seed", "there is no such seed"))?;
        self.open()?.seed_resolved(seed, &addrs);
        Ok(())
    }

    fn leave(&mut self) -> PyResult<()> {
        self.open()?.leave();
        Ok(())
    }

    fn set_ring_keys(&mut self, keys: Vec<String>) -> PyResult<()> {
        let keys = ring_keys(&keys)?;
        self.open()?.set_ring_keys(keys);
        Ok(())
    }

    fn block(&mut self, id: &str) -> PyResult<()> {
        let id: MemberId = parsed("id", id)?;
        self.open()?.block(id).map_err(refused)
    }

    fn unblock(&mut self, id: &str) -> PyResult<bool> {
        let id: MemberId = parsed("id", id)?;
        Ok(self.open()?.unblock(id))
    }

    #[pyo3(signature = (group, package, config=None))]
    fn announce(&mut self, group: &str, package: &str, config: Option<&[u8]>) -> PyResult<()> {
        let mut service = Service::new(self::group(group)?, package);
        service.cfg = config.unwrap_or_default().to_vec();
        self.open()?.announce(service).map_err(refused)
    }

    fn withdraw(&mut self, group: &str) -> PyResult<bool> {
        let group = self::group(group)?;
        self.open()?.withdraw(&group).map_err(refused)
    }

    #[pyo3(signature = (group, config, version=None))]
    fn apply_config(&mut self, group: &str, config: &[u8], version: Option<u64>) -> PyResult<()> {
        let group = self::group(group)?;
        let version = self.version(&RumorId::config(&group), version)?;
        let config = ServiceConfig::new(group, version, config);
        self.open()?.apply_config(config).map_err(refused)
    }

    fn remove_config(&mut self, group: &str) -> PyResult<bool> {
        let group = self::group(group)?;
        self.open()?.remove_config(&group).map_err(refused)
    }

    #[pyo3(signature = (group, filename, body, version=None))]
    fn apply_file(
        &mut self,
        group: &str,
        filename: &str,
        body: &[u8],
        version: Option<u64>,
    ) -> PyResult<()> {
        let group = self::group(group)?;
        let version = self.version(&RumorId::file(&group, filename), version)?;
        let file = ServiceFile::new(group, version, filename, body);
        self.open()?.apply_file(file).map_err(refused)
    }

    fn remove_file(&mut self, group: &str, filename: &str) -> PyResult<bool> {
        let group = self::group(group)?;
        self.open()?.remove_file(&group, filename).map_err(refused)
    }

    /// A group's configuration and its version, or None.
    fn config(&self, group: &str) -> PyResult<Option<(Vec<u8>, u64)>> {
        match self.rumor(&RumorId::config(&self::group(group)?))? {
            Some(Rumor::ServiceConfig(held)) if !held.config.is_empty() => {
                Ok(Some((held.config, held.incarnation)))
            }
            _ => Ok(None),
        }
    }

    /// A group's file and its version, or None.
    fn file(&self, group: &str, filename: &str) -> PyResult<Option<(Vec<u8>, u64)>> {
        match self.rumor(&RumorId::file(&self::group(group)?, filename))? {
            Some(Rumor::ServiceFile(held)) if !held.body.is_empty() => {
                Ok(Some((held.body, held.incarnation)))
            }
            _ => Ok(None),
        }
    }

    /// The id of who leads a group, or None.
    fn leader(&self, group: &str) -> PyResult<Option<String>> {
        let group = self::group(group)?;
        let election = self.seen()?.node().election(RumorKind::Election, &group);
        Ok(election
            .and_then(|election| election.leader())
            .map(|leader| leader.to_string()))
    }

    #[pyo3(signature = (group, suitability=0))]
    fn start_election(&mut self, group: &str, suitability: u64) -> PyResult<()> {
        let group = self::group(group)?;
        let started = self
            .open()?
            .start_election(RumorKind::Election, &group, suitability);
        started.map_err(refused)
    }

    fn set_tags(&mut self, tags: BTreeMap<String, String>) -> PyResult<()> {
        let mut set = TagSet::new();
        for (key, value) in &tags {
            let inserted = set.insert(key, value);
            inserted.map_err(|error| bad("tags", error))?;
        }
        self.open()?.set_tags(set).map_err(refused)
    }

    /// What a member says of itself.
    fn tags(&self, id: &str) -> PyResult<BTreeMap<String, String>> {
        let id: MemberId = parsed("id", id)?;
        let held = self.seen()?.node().tags(id);
        let pairs = held.iter().flat_map(|tags| tags.iter());
        Ok(pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }

    fn send_event(&mut self, name: &str, payload: &[u8], ttl: f64, coalesce: bool) -> PyResult<()> {
        let mut event = UserEvent::new(name, payload);
        event.ttl = seconds("ttl", ttl)?;
        event.coalesce = coalesce;
        self.open()?.send_event(event).map(drop).map_err(refused)
    }

    /// Asks members; the number that the answers have.
    fn query(
        &mut self,
        name: &str,
        payload: &[u8],
        members: Vec<String>,
        tags: Vec<String>,
        timeout: Option<f64>,
    ) -> PyResult<u64> {
        let mut question = UserEvent::query(name, payload);
        if let Some(terms) = &mut question.query {
            (terms.members, terms.tags) = (members, tags);
            if let Some(timeout) = timeout {
                terms.timeout = seconds("timeout", timeout)?;
            }
        }
        let sent = self.open()?.send_event(question).map_err(refused)?;
        Ok(sent.query.map_or(0, |query| query.id))
    }

    /// Answers a question of that member's, or says why there is no answer.
    fn answer(&mut self, by: &str, query: u64, payload: &[u8], why: Option<&str>) -> PyResult<()> {
        let mut question = UserEvent::query("", "");
        question.by = parsed("by", by)?;
        if let Some(terms) = &mut question.query {
            terms.id = query;
        }
        let answer = why.map_or(Ok(payload), Err);
        self.open()?.answer(&question, answer).map_err(refused)
    }

    fn forget(&mut self, ids: Vec<String>) -> PyResult<()> {
        let ids = ids.iter().map(|id| parsed("ids", id));
        let ids: Vec<MemberId> = ids.collect::<PyResult<_>>()?;
        self.open()?.forget(&ids).map_err(refused)
    }

    fn depart(&mut self, id: &str) -> PyResult<()> {
        let id: MemberId = parsed("id", id)?;
        self.open()?.depart(id).map_err(refused)
    }
}
