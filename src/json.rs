//! Strings as JSON writes them.

use std::fmt::Write;

/// Puts a text in quotes and escapes the characters that JSON requires escaped.
pub(crate) fn string(text: &str) -> String {
    let mut escaped = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\u{0}'..='\u{1f}' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped + "\""
}
