//! The names that `${...}` stands for in fixtures and cases: ports, certificates in the forms that ingresses send, and
//! instants around now.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::Value;

/// Names and what they stand for. Besides those that were set: `now`, `now+3s`, `now-60s` (RFC 3339) and `today` (the date
/// in Europe/Stockholm).
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Adds a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a variable that was set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Adds every certificate in `directory` in three forms: `folded:NAME` (PEM on one line), `base64:NAME` (the leaf
    /// alone), `chain:NAME` (leaf and issuer, comma between) and `url:NAME` (PEM, URL-encoded).
    pub fn add_certificates(&mut self, directory: &Path) -> Result<()> {
        for entry in std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".crt")) else { continue };
            let pem = std::fs::read_to_string(&path)?.replace("\r\n", "\n");
            let leaf = pem.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap_or_default();
            let bare: Vec<String> = pem.split("-----BEGIN CERTIFICATE-----").skip(1).map(bare).collect();
            self.set(format!("folded:{name}"), leaf.trim().replace('\n', " "));
            self.set(format!("base64:{name}"), bare.first().cloned().unwrap_or_default());
            self.set(format!("chain:{name}"), bare.join(","));
            self.set(format!("url:{name}"), url_encoded(leaf));
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Result<String> {
        if let Some(value) = self.get(name) {
            return Ok(value.to_owned());
        }
        let now = Timestamp::now();
        if name == "today" {
            let stockholm = TimeZone::get("Europe/Stockholm").context("no time zone data")?;
            return Ok(now.to_zoned(stockholm).date().to_string());
        }
        let offset = name.strip_prefix("now").with_context(|| format!("nothing is named ${{{name}}}"))?;
        let seconds: i64 = offset.strip_suffix('s').unwrap_or("0").parse().with_context(|| format!("${{{name}}}"))?;
        // Whole seconds, as people write them.
        let rounded = Timestamp::from_second(now.as_second())?;
        Ok((rounded + SignedDuration::from_secs(seconds)).to_string())
    }

    /// `text` with its variables filled in. An unknown one is an error, because it is a misspelling.
    pub fn fill(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').context("`${` without `}`")?;
            filled.push_str(before);
            filled.push_str(&self.value(name)?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A whole value with all variables filled in.
    pub fn fill_value(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text)?),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.fill_value(item)).collect::<Result<_>>()?),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((self.fill(name)?, self.fill_value(value)?)))
                    .collect::<Result<_>>()?,
            ),
            other => other.clone(),
        })
    }
}

fn bare(pem: &str) -> String {
    pem.split("-----END").next().unwrap_or_default().split_whitespace().collect()
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_misspellings_refused() {
        let mut variables = Variables::default();
        variables.set("p1", "80");
        assert_eq!(variables.fill("https://localhost:${p1}/x").expect("known"), "https://localhost:80/x");
        assert!(variables.fill("${p2}").is_err());
        assert!(variables.fill("${now+3s}").expect("an instant").ends_with('Z'));
        assert!(variables.fill("${now-60s}").expect("an instant") < variables.fill("${now}").expect("an instant"));
    }
}
