//! Whether a job's parameters fit the rules of its kind: the quick yes.
//!
//! `worker.check_parameters` is the judge, here as in the single-file install. This says yes only where
//! that one would too, which a test compares over many values, and says no wherever it is not sure.

use serde_json::{Map, Value};

/// True: they surely fit. False: ask the judge.
pub fn surely_fit(rules: &Value, parameters: &Value) -> bool {
    let (Some(rules), Some(parameters)) = (rules.as_object(), parameters.as_object()) else {
        return false;
    };
    let each = |(name, value): (&String, &Value)| {
        // null means the default, as a missing key does
        rules
            .get(name)
            .is_some_and(|rule| value.is_null() || fits(rule, value))
    };
    parameters.iter().all(each)
        && rules
            .iter()
            .all(|(name, rule)| has_what_is_required(name, rule, parameters))
}

fn has_what_is_required(name: &str, rule: &Value, parameters: &Map<String, Value>) -> bool {
    match rule.get("required") {
        None | Some(Value::Bool(false)) => true,
        Some(Value::Bool(true)) => parameters.get(name).is_some_and(|value| !value.is_null()),
        Some(_) => false,
    }
}

fn fits(rule: &Value, value: &Value) -> bool {
    match rule["type"].as_str() {
        Some("integer") => value.as_i64().is_some_and(|given| is_within(rule, given)),
        Some("integer_range") => pair(value, Value::as_i64)
            .is_some_and(|(low, high)| low <= high && is_within(rule, low) && is_within(rule, high)),
        Some("number_range") => {
            pair(value, Value::as_f64).is_some_and(|(low, high)| lies_inside(rule, low, high))
        }
        Some("text") => value.as_str().is_some_and(|text| is_text(rule, text)),
        Some("uuid") => value.as_str().is_some_and(is_uuid),
        Some("one_of") => {
            value.is_string()
                && rule["values"]
                    .as_array()
                    .is_some_and(|values| values.contains(value))
        }
        _ => false,
    }
}

fn is_within(rule: &Value, given: i64) -> bool {
    let bound = |name: &str| rule[name].as_i64();
    bound("min").is_some_and(|low| low <= given) && bound("max").is_some_and(|high| given <= high)
}

/// Rounding to a double keeps the order of two numbers but may make them equal: so equal is not sure.
fn lies_inside(rule: &Value, low: f64, high: f64) -> bool {
    let bound = |name: &str| rule[name].as_f64();
    low < high
        && bound("min").is_some_and(|least| least < low)
        && bound("max").is_some_and(|most| high < most)
}

fn pair<T>(value: &Value, number: impl Fn(&Value) -> Option<T>) -> Option<(T, T)> {
    match value.as_array()?.as_slice() {
        [low, high] => Some((number(low)?, number(high)?)),
        _ => None,
    }
}

fn is_text(rule: &Value, text: &str) -> bool {
    let most = rule["max_length"].as_u64().unwrap_or(0);
    text.chars().any(|character| character != ' ') && text.chars().count() as u64 <= most
}

fn is_uuid(text: &str) -> bool {
    let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let right = |(at, byte): (usize, u8)| {
        if hyphen(at) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    };
    text.len() == 36 && text.bytes().enumerate().all(right)
}
