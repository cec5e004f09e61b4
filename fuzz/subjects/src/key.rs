//! Ring key files.

use butterfly::RingKey;

/// A key that is read is written and read again as the same; an error says something of one line.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match RingKey::parse(text) {
        Ok(key) => {
            let again = key.to_file_text();
            let read = RingKey::parse(&again);
            assert_eq!(read.map(|read| read.to_file_text()), Ok(again));
            assert!(key.file_name().starts_with(key.name()));
            assert!(
                butterfly::text::is_name(&key.file_name()),
                "{:?}",
                key.name()
            );
        }
        Err(error) => {
            let shown = error.to_string();
            let shown = butterfly::text::visible(&shown);
            assert!(!shown.is_empty() && !shown.contains('\n'), "{shown:?}");
        }
    }
}
