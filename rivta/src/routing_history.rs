//! The chain of platforms that a call has passed, and the loop that it reveals (TP 7, TP 8).
//!
//! `x-rivta-routing-history` reads `consumer#platform#platform`. Every platform appends its own HSA-id; one that finds
//! itself there refuses, because the call would come round for ever.

use crate::hsa_id::same_id;
use thiserror::Error;

/// The call has been here before: VP014.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the routing history already names this platform: check the routes of the platforms named in it, one of them sends the call back"
)]
pub struct Loop;

/// The routing history to send to the producer.
///
/// `incoming` are the values of all headers of that name, in order; they are joined. Absent or blank, the history begins
/// with the caller. On the internal listener (`internal`) the own id may stand there once, because a component of the
/// platform calls back through it.
///
/// # Errors
/// [`Loop`] if `own` stands in the history (trimmed, in any letter case); on the internal listener, if it stands there
/// twice.
pub fn routing_history(incoming: &[&[u8]], caller: &str, own: &str, internal: bool) -> Result<String, Loop> {
    let mut history = String::new();
    for value in incoming {
        let value = value.trim_ascii();
        if value.is_empty() {
            continue;
        }
        if !history.is_empty() {
            history.push('#');
        }
        // Ids are ASCII. A byte that is not cannot be part of one, nor may it reach the next platform's parser.
        history.extend(value.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '?' }));
    }
    if history.is_empty() {
        return Ok([caller, "#", own].concat());
    }
    // An intermediary may have joined two headers with a comma; ids hold neither separator.
    let passed = history.split(['#', ',']).filter(|id| same_id(id.trim(), own)).count();
    if passed > usize::from(internal) {
        return Err(Loop);
    }
    history.push('#');
    history.push_str(own);
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(incoming: &[&str], internal: bool) -> Result<String, Loop> {
        let incoming: Vec<_> = incoming.iter().map(|v| v.as_bytes()).collect();
        routing_history(&incoming, "SE1-caller", "SE2-own", internal)
    }

    #[test]
    fn the_own_id_is_appended() {
        for (incoming, expected) in [
            (&[][..], "SE1-caller#SE2-own"),
            (&[""], "SE1-caller#SE2-own"),
            (&["  "], "SE1-caller#SE2-own"),
            (&["A#B"], "A#B#SE2-own"),
            (&["A#B", "", "C"], "A#B#C#SE2-own"),
            (&["A#SE2-owner"], "A#SE2-owner#SE2-own"),
            (&["A\u{e5}"], "A??#SE2-own"),
        ] {
            assert_eq!(history(incoming, false).as_deref(), Ok(expected), "{incoming:?}");
        }
    }

    #[test]
    fn the_own_id_in_the_history_is_a_loop() {
        for incoming in [&["A#SE2-own"][..], &["A# se2-OWN #B"], &["SE2-own"], &["A", "SE2-own"], &["A#B, SE2-own#C"]] {
            assert_eq!(history(incoming, false), Err(Loop), "{incoming:?}");
            assert!(history(incoming, true).is_ok(), "{incoming:?}");
        }
    }

    #[test]
    fn a_component_of_ours_may_call_back_once() {
        assert_eq!(history(&["A#SE2-own"], true).as_deref(), Ok("A#SE2-own#SE2-own"));
        assert_eq!(history(&["A#SE2-own#SE2-own"], true), Err(Loop));
    }
}
