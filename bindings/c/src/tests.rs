//! Called as C calls it.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use crate::config::{butterfly_config, butterfly_config_init};
use crate::event::{
    butterfly_answered, butterfly_event, butterfly_health, butterfly_kind, butterfly_next_event,
};
use crate::member::*;
use crate::status::butterfly_status::*;
use crate::status::{butterfly_last_error, guard};
use crate::tags::*;
use crate::talk::*;
use crate::view::*;

fn last_error() -> String {
    // SAFETY: it is valid until the next error of this thread.
    let error = unsafe { CStr::from_ptr(butterfly_last_error()) };
    error.to_str().unwrap().to_owned()
}

fn config() -> butterfly_config {
    let mut config = std::mem::MaybeUninit::<butterfly_config>::zeroed();
    // SAFETY: as it asks.
    unsafe {
        let size = size_of::<butterfly_config>();
        assert_eq!(
            butterfly_config_init(config.as_mut_ptr(), size),
            BUTTERFLY_OK
        );
        config.assume_init()
    }
}

fn start(config: &butterfly_config) -> *mut butterfly {
    let mut member = null_mut();
    // SAFETY: as it asks.
    let status = unsafe { butterfly_new(config, &mut member) };
    assert_eq!(status, BUTTERFLY_OK, "{}", last_error());
    member
}

fn local() -> *mut butterfly {
    let mut config = config();
    (config.listen, config.timing) = (c"127.0.0.1:0".as_ptr(), c"local".as_ptr());
    start(&config)
}

fn addr(member: *mut butterfly) -> CString {
    let mut text: [c_char; 64] = [0; 64];
    // SAFETY: as it asks.
    unsafe {
        assert_eq!(
            butterfly_local_addr(member, text.as_mut_ptr()),
            BUTTERFLY_OK
        );
        CStr::from_ptr(text.as_ptr()).to_owned()
    }
}

/// Drives them until it is so.
fn drive(
    members: &[*mut butterfly],
    mut done: impl FnMut(*mut butterfly, &butterfly_event) -> bool,
) {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < patience, "nothing came of it");
        let mut ready: Vec<_> = members
            .iter()
            // SAFETY: it is valid.
            .map(|member| {
                (unsafe { butterfly_fd(*member) }, unsafe {
                    butterfly_timeout_ms(*member)
                })
            })
            .collect();
        let wait = ready
            .iter()
            .map(|(_, timeout)| *timeout)
            .filter(|timeout| *timeout >= 0)
            .min();
        let mut fds: Vec<rustix::event::PollFd<'_>> = ready
            .iter_mut()
            // SAFETY: the members live on.
            .map(|(fd, _)| unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) })
            .map(|fd| rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN))
            .collect();
        let wait = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(wait.unwrap_or(100).min(100)) * 1_000_000,
        };
        rustix::event::poll(&mut fds, Some(&wait)).unwrap();
        for member in members {
            let mut event = std::mem::MaybeUninit::<butterfly_event>::zeroed();
            // SAFETY: as they ask.
            unsafe {
                assert_eq!(butterfly_process(*member), BUTTERFLY_OK, "{}", last_error());
                while butterfly_next_event(
                    *member,
                    event.as_mut_ptr(),
                    size_of::<butterfly_event>(),
                ) {
                    if done(*member, event.assume_init_ref()) {
                        return;
                    }
                }
            }
        }
    }
}

#[test]
fn two_members_meet_tell_rumors_and_leave() {
    let (one, other) = (local(), local());
    let toml = b"port = 1";
    // SAFETY: as they ask.
    unsafe {
        assert_eq!(butterfly_join(other, addr(one).as_ptr()), BUTTERFLY_OK);
        let group = c"redis.default".as_ptr();
        let package = c"acme/redis/7/1".as_ptr();
        assert_eq!(
            butterfly_announce(other, group, package, toml.as_ptr(), toml.len()),
            BUTTERFLY_OK
        );
        assert_eq!(
            butterfly_apply_config(one, group, 0, toml.as_ptr(), toml.len()),
            BUTTERFLY_OK
        );
        assert_eq!(
            butterfly_apply_file(one, group, c"a.txt".as_ptr(), 7, b"x".as_ptr(), 1),
            BUTTERFLY_OK
        );
    }
    let (mut services, mut file) = (0, false);
    drive(&[one, other], |member, event| {
        // SAFETY: the kind says which it is, and texts are valid now.
        unsafe {
            if event.kind == butterfly_kind::BUTTERFLY_RUMOR_CHANGED {
                let rumor = event.told.rumor;
                let key = CStr::from_ptr(rumor.key);
                assert_eq!(key, c"redis.default");
                services += u32::from(rumor.kind == 2 && member == one);
                file |= rumor.kind == 5 && member == other && CStr::from_ptr(rumor.id) == c"a.txt";
            }
        }
        services > 0 && file
    });
    // SAFETY: as they ask.
    unsafe {
        let group = c"redis.default".as_ptr();
        let list = butterfly_services_new(one, group);
        let mut service = std::mem::MaybeUninit::<butterfly_service>::zeroed();
        assert!(butterfly_services_next(
            list,
            service.as_mut_ptr(),
            size_of::<butterfly_service>()
        ));
        let shown = service.assume_init_ref();
        assert_eq!(shown.health, butterfly_health::BUTTERFLY_ALIVE);
        assert_eq!(
            std::slice::from_raw_parts(shown.config, shown.config_length),
            toml
        );
        assert_eq!(CStr::from_ptr(shown.package), c"acme/redis/7/1");
        assert!(!butterfly_services_next(
            list,
            service.as_mut_ptr(),
            size_of::<butterfly_service>()
        ));
        butterfly_services_free(list);
        let (mut bytes, mut length, mut version) = (null(), 0, 0);
        let name = c"a.txt".as_ptr();
        assert_eq!(
            butterfly_file_of(other, group, name, &mut bytes, &mut length, &mut version),
            BUTTERFLY_OK
        );
        assert_eq!(
            (std::slice::from_raw_parts(bytes, length), version),
            (&b"x"[..], 7)
        );
        let list = butterfly_members_new(one);
        let mut row = std::mem::MaybeUninit::<butterfly_member>::zeroed();
        let mut rows = 0;
        while butterfly_members_next(list, row.as_mut_ptr(), size_of::<butterfly_member>()) {
            rows += 1;
        }
        butterfly_members_free(list);
        assert_eq!(rows, 2);
        assert_eq!(butterfly_leave(other), BUTTERFLY_OK);
        drive(&[one, other], |_, event| {
            event.kind == butterfly_kind::BUTTERFLY_LEFT
        });
        butterfly_free(other);
        butterfly_free(one);
    }
}

fn id_of(member: *mut butterfly) -> CString {
    let mut text: [c_char; 33] = [0; 33];
    // SAFETY: as it asks.
    unsafe {
        assert_eq!(butterfly_id(member, text.as_mut_ptr()), BUTTERFLY_OK);
        CStr::from_ptr(text.as_ptr()).to_owned()
    }
}

/// What `member` holds that the one of this id says of itself.
fn tags(member: *mut butterfly, id: &CStr) -> Vec<(String, String)> {
    let text = |text: *const c_char| {
        // SAFETY: it is the list's, which is not freed yet.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str().unwrap().to_owned()
    };
    let mut tags = Vec::new();
    // SAFETY: as they ask.
    unsafe {
        let list = butterfly_tags_new(member, id.as_ptr());
        let mut tag = std::mem::MaybeUninit::<butterfly_tag>::zeroed();
        while butterfly_tags_next(list, tag.as_mut_ptr(), size_of::<butterfly_tag>()) {
            let tag = tag.assume_init_ref();
            tags.push((text(tag.key), text(tag.value)));
        }
        butterfly_tags_free(list);
    }
    tags
}

#[test]
fn what_a_member_says_of_itself_is_known_to_the_other_and_the_dead_are_forgotten() {
    let (one, other) = (local(), local());
    let (gone, own) = (id_of(other), id_of(one));
    let tag = |key: &'static CStr, value: &'static CStr| butterfly_tag {
        key: key.as_ptr(),
        value: value.as_ptr(),
    };
    let is_of_it = |event: &butterfly_event, kind| {
        // SAFETY: the kind says that it is an id.
        event.kind == kind && unsafe { CStr::from_ptr(event.told.id.as_ptr()) } == &*gone
    };
    // SAFETY: as they ask.
    unsafe {
        assert_eq!(butterfly_join(other, addr(one).as_ptr()), BUTTERFLY_OK);
        let said = [tag(c"zone", c"eu"), tag(c"role", c"")];
        assert_eq!(butterfly_set_tags(other, said.as_ptr(), 2), BUTTERFLY_OK);
        let wrong = [tag(c"", c"x")];
        let status = butterfly_set_tags(other, wrong.as_ptr(), 1);
        assert_eq!(status, BUTTERFLY_BAD_ARGUMENT, "{}", last_error());
        drive(&[one, other], |member, event| {
            member == one && is_of_it(event, butterfly_kind::BUTTERFLY_TAGS_CHANGED)
        });
        let expected = [("role", ""), ("zone", "eu")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(tags(one, &gone), expected);
        assert_eq!(tags(one, &own), []);

        let ids = [gone.as_ptr()];
        assert_eq!(butterfly_forget(one, ids.as_ptr(), 1), BUTTERFLY_REFUSED);
        assert!(last_error().contains("alive"), "{}", last_error());
        assert_eq!(butterfly_leave(other), BUTTERFLY_OK);
        drive(&[one, other], |member, event| {
            let departed = event.kind == butterfly_kind::BUTTERFLY_MEMBER_CHANGED
                && event.told.member_changed.to == butterfly_health::BUTTERFLY_DEPARTED;
            member == one && departed
        });
        butterfly_free(other);
        let forgotten = butterfly_forget(one, ids.as_ptr(), 1);
        assert_eq!(forgotten, BUTTERFLY_OK, "{}", last_error());
        drive(&[one], |_, event| {
            is_of_it(event, butterfly_kind::BUTTERFLY_MEMBER_FORGOTTEN)
        });
        assert_eq!(tags(one, &gone), []);
        butterfly_free(one);
    }
}

#[test]
fn what_users_say_is_heard_and_what_they_ask_is_answered() {
    let (one, other) = (local(), local());
    let asker = id_of(other);
    let payload = |from: *const u8, length| {
        // SAFETY: they are valid until the next event.
        unsafe { std::slice::from_raw_parts(from, length) }.to_vec()
    };
    // SAFETY: as they ask; the kind says which of the union it is.
    unsafe {
        assert_eq!(butterfly_join(other, addr(one).as_ptr()), BUTTERFLY_OK);
        drive(&[one, other], |member, event| {
            member == other && event.kind == butterfly_kind::BUTTERFLY_MEMBER_CHANGED
        });
        let sent = butterfly_send_event(other, c"deploy".as_ptr(), b"web".as_ptr(), 3, 0, false);
        assert_eq!(sent, BUTTERFLY_OK, "{}", last_error());
        drive(&[one, other], |member, event| {
            if member != one || event.kind != butterfly_kind::BUTTERFLY_USER_EVENT {
                return false;
            }
            let event = event.told.user_event;
            assert_eq!(CStr::from_ptr(event.name), c"deploy");
            assert_eq!(payload(event.payload, event.length), b"web");
            CStr::from_ptr(event.by.as_ptr()) == &*asker
        });
        let mut number = 0;
        let (none, name) = (null(), c"load".as_ptr());
        let asked = butterfly_query(other, name, null(), 0, none, 0, none, 0, 2_000, &mut number);
        assert_eq!(asked, BUTTERFLY_OK, "{}", last_error());
        let mut answers = Vec::new();
        drive(&[one, other], |member, event| {
            match event.kind {
                butterfly_kind::BUTTERFLY_QUERY => {
                    let question = event.told.user_event;
                    let why = if member == one {
                        null()
                    } else {
                        c"busy".as_ptr()
                    };
                    let (by, id) = (question.by.as_ptr(), question.query);
                    let said = butterfly_answer_query(member, by, id, b"7".as_ptr(), 1, why);
                    assert_eq!(said, BUTTERFLY_OK, "{}", last_error());
                }
                butterfly_kind::BUTTERFLY_ANSWER if member == other => {
                    let answer = event.told.answer;
                    assert_eq!(answer.query, number);
                    if answer.how != butterfly_answered::BUTTERFLY_RECEIVED {
                        let text = CStr::from_ptr(event.text).to_str().unwrap().to_owned();
                        answers.push((answer.how, payload(answer.payload, answer.length), text));
                    }
                }
                _ => {}
            }
            answers.len() == 2
        });
        answers.sort_by_key(|(how, ..)| *how as u8);
        assert_eq!(answers[0].1, b"7");
        assert_eq!(answers[1].2, "busy");
        butterfly_free(other);
        butterfly_free(one);
    }
}

#[test]
fn a_peer_is_asked_by_name_or_address_and_no_more() {
    let member = local();
    // SAFETY: as they ask.
    unsafe {
        for peer in [c"127.0.0.1:1", c"nowhere.invalid:1"] {
            assert_eq!(butterfly_join(member, peer.as_ptr()), BUTTERFLY_OK);
            assert_eq!(butterfly_unjoin(member, peer.as_ptr()), BUTTERFLY_OK);
            let again = butterfly_unjoin(member, peer.as_ptr());
            assert_eq!(again, BUTTERFLY_NOT_FOUND, "{}", last_error());
        }
        let wrong = butterfly_join(member, c"nonsense".as_ptr());
        assert_eq!(wrong, BUTTERFLY_BAD_ARGUMENT, "{}", last_error());
        butterfly_free(member);
    }
}

#[test]
fn who_hears_nobody_any_more_is_told_so() {
    let (one, other) = (local(), local());
    // SAFETY: as they ask.
    unsafe {
        assert_eq!(butterfly_join(other, addr(one).as_ptr()), BUTTERFLY_OK);
        drive(&[one, other], |_, event| {
            event.kind == butterfly_kind::BUTTERFLY_MEMBER_CHANGED
        });
        drive(&[other], |_, event| {
            let told = event.kind == butterfly_kind::BUTTERFLY_ISOLATED;
            told && event.told.silent_us >= 100_000
        });
        butterfly_free(one);
        butterfly_free(other);
    }
}

#[test]
fn the_end_of_events_and_lists_is_no_error_and_what_cannot_be_given_is_not_taken() {
    let member = local();
    // SAFETY: as they ask.
    unsafe {
        assert_eq!(butterfly_leave(member), BUTTERFLY_OK);
        assert_eq!(
            butterfly_join(member, c"nonsense".as_ptr()),
            BUTTERFLY_BAD_ARGUMENT
        );
        let said = last_error();
        assert!(said.contains("nonsense"));
        let mut event = std::mem::MaybeUninit::<butterfly_event>::zeroed();
        assert!(!butterfly_next_event(
            member,
            null_mut(),
            size_of::<butterfly_event>()
        ));
        assert!(!butterfly_next_event(member, event.as_mut_ptr(), 0));
        assert_eq!(
            butterfly_join(member, c"nonsense".as_ptr()),
            BUTTERFLY_BAD_ARGUMENT
        );
        let patience = Instant::now() + Duration::from_secs(20);
        let mut left = false;
        while !left {
            assert!(Instant::now() < patience, "it does not leave");
            assert_eq!(butterfly_process(member), BUTTERFLY_OK);
            let size = size_of::<butterfly_event>();
            for (to, size) in [(null_mut(), size), (event.as_mut_ptr(), 0)] {
                assert!(!butterfly_next_event(member, to, size));
            }
            assert_eq!(
                butterfly_join(member, c"nonsense".as_ptr()),
                BUTTERFLY_BAD_ARGUMENT
            );
            while butterfly_next_event(member, event.as_mut_ptr(), size) {
                left |= event.assume_init_ref().kind == butterfly_kind::BUTTERFLY_LEFT;
            }
        }
        let list = butterfly_members_new(member);
        let mut row = std::mem::MaybeUninit::<butterfly_member>::zeroed();
        while butterfly_members_next(list, row.as_mut_ptr(), size_of::<butterfly_member>()) {}
        butterfly_members_free(list);
        assert_eq!(last_error(), said);
        butterfly_free(member);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let mut config = config();
    let mut member = null_mut();
    let mut said = |config: &butterfly_config, status| {
        // SAFETY: as it asks.
        assert_eq!(unsafe { butterfly_new(config, &mut member) }, status);
        assert!(member.is_null());
        last_error()
    };
    assert_eq!(said(&config, BUTTERFLY_BAD_ARGUMENT), "listen: it is NULL");
    config.listen = c"here".as_ptr();
    let error = said(&config, BUTTERFLY_BAD_ARGUMENT);
    assert_eq!(error, "listen: \"here\": invalid socket address syntax");
    config.listen = c"\xff".as_ptr();
    assert_eq!(
        said(&config, BUTTERFLY_BAD_ARGUMENT),
        "listen: it is not UTF-8"
    );
    config.listen = c"127.0.0.1:0".as_ptr();
    config.timing = c"fast".as_ptr();
    let error = said(&config, BUTTERFLY_BAD_ARGUMENT);
    assert_eq!(
        error,
        "timing: \"fast\" is none of lan, wan, habitat, local"
    );
    config.timing = null();
    config.gossip_port = 70_000;
    assert_eq!(
        said(&config, BUTTERFLY_BAD_ARGUMENT),
        "gossip_port: it is no port, 0 or -1"
    );
    config.gossip_port = 0;
    config.ring_key_count = 1;
    assert_eq!(
        said(&config, BUTTERFLY_BAD_ARGUMENT),
        "ring_keys: it is NULL"
    );
    config.ring_key_count = 0;
    config.data_dir = c"/dev/null/no".as_ptr();
    assert!(said(&config, BUTTERFLY_CANNOT_START).contains("/dev/null/no"));
    config.size = 0;
    assert!(said(&config, BUTTERFLY_BAD_ARGUMENT).contains("butterfly_config_init()"));
    // SAFETY: NULL is asked for.
    unsafe {
        assert_eq!(butterfly_process(null_mut()), BUTTERFLY_BAD_ARGUMENT);
        assert_eq!(last_error(), "member: it is NULL");
        assert_eq!(
            (butterfly_fd(null()), butterfly_timeout_us(null())),
            (-1, -1)
        );
        assert!(
            butterfly_members_new(null()).is_null()
                && butterfly_services_new(null(), null()).is_null()
        );
        butterfly_free(null_mut());
    }
}

/// A caller built with a header of few fields, and one of a header to come.
#[test]
fn structures_may_be_shorter_or_longer_than_here() {
    let mut short = config();
    short.listen = c"127.0.0.1:0".as_ptr();
    short.size = std::mem::offset_of!(butterfly_config, advertise);
    // What lies behind is somebody else's.
    short.advertise = c"nonsense".as_ptr();
    let member = start(&short);
    // SAFETY: as they ask.
    unsafe {
        let mut counts = [usize::MAX; 8];
        let few = size_of::<usize>();
        assert_eq!(
            butterfly_count(member, counts.as_mut_ptr().cast(), few),
            BUTTERFLY_OK
        );
        assert_eq!(counts[..2], [1, usize::MAX]);
        assert_eq!(
            butterfly_count(member, counts.as_mut_ptr().cast(), 64),
            BUTTERFLY_OK
        );
        // What a caller of a later header knows beyond is zero.
        assert_eq!(counts[..5], [1, 0, 0, 0, 0]);
        assert_eq!(counts[7], 0);
        butterfly_free(member);
    }
    let long = (config(), [0usize; 4]);
    let mut long = long;
    long.0.listen = c"127.0.0.1:0".as_ptr();
    long.0.size = size_of_val(&long);
    let member = start(&long.0);
    // SAFETY: it is valid.
    unsafe { butterfly_free(member) };
}

#[test]
fn a_panic_becomes_a_status_and_its_member_does_nothing_more() {
    let member = local();
    // SAFETY: it is valid.
    unsafe {
        assert_eq!(with(member, |_| panic!("planted")), BUTTERFLY_BUG);
        assert_eq!(last_error(), "a bug: planted");
        assert_eq!(butterfly_process(member), BUTTERFLY_BUG);
        assert!(last_error().contains("free this member"));
        let mut counts = [0usize; 4];
        let size = size_of_val(&counts);
        assert_eq!(
            butterfly_count(member, counts.as_mut_ptr().cast(), size),
            BUTTERFLY_BUG
        );
        assert_eq!(
            (butterfly_fd(member), butterfly_timeout_ms(member)),
            (-1, -1)
        );
        assert!(butterfly_members_new(member).is_null());
        butterfly_free(member);
    }
    assert_eq!(guard(|| panic!("{}", 7)), BUTTERFLY_BUG);
    assert_eq!(last_error(), "a bug: 7");
}

/// A member may be handed to another thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<butterfly>();
};

#[test]
fn a_deadline_is_a_moment_of_the_monotonic_clock() {
    let member = local();
    // SAFETY: it is valid.
    unsafe {
        assert_eq!(butterfly_deadline_ns(member), 0, "at first it is due");
        while butterfly_deadline_ns(member) == 0 {
            assert_eq!(butterfly_process(member), BUTTERFLY_OK);
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = now.tv_sec * 1_000_000_000 + now.tv_nsec;
        let ahead = butterfly_deadline_ns(member) - now;
        assert!(ahead < 2_000_000_000, "{ahead}");
        butterfly_free(member);
    }
}
