//! A value that fits a JSON Schema of the portable subset: the first enum value, the smallest
//! number in range, the fewest entries, and texts that differ from call to call.

use serde_json::{Map, Value, json};

/// Fills a schema. Two numbers give two items without an equal text of free length.
pub fn fill(schema: &Value, number: u64) -> Value {
    Filler { number, texts: 0 }.value(schema, 0)
}

struct Filler {
    number: u64,
    texts: u64,
}

impl Filler {
    fn value(&mut self, schema: &Value, index: u64) -> Value {
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choice) = schema["enum"].get(0) {
            return choice.clone();
        }
        for union in ["anyOf", "oneOf"] {
            if let Some(first) = schema[union].get(0) {
                return self.value(first, index);
            }
        }
        match type_of(schema) {
            "object" => self.object(schema, index),
            "array" => self.array(schema),
            "integer" => integer(schema, index),
            "number" => json!(schema["minimum"].as_f64().unwrap_or(1.0)),
            "boolean" => json!(true),
            "string" => Value::String(self.text(schema)),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, index: u64) -> Value {
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let filled: Map<String, Value> = properties
            .into_iter()
            .map(|(name, schema)| (name, self.value(&schema, index)))
            .collect();
        Value::Object(filled)
    }

    fn array(&mut self, schema: &Value) -> Value {
        let count = schema["minItems"].as_u64().unwrap_or(1);
        (0..count)
            .map(|index| self.value(&schema["items"], index))
            .collect()
    }

    fn text(&mut self, schema: &Value) -> String {
        self.texts += 1;
        let shortest = schema["minLength"].as_u64().unwrap_or(1) as usize;
        let longest = schema["maxLength"].as_u64().unwrap_or(200) as usize;
        // Where there is room for prose, some is written: the kinds ask for more than a few words.
        let wanted = if longest > 100 {
            shortest.max(120.min(longest))
        } else {
            shortest
        };
        let mut seed = self.number * 97 + self.texts;
        let mut text = words(seed);
        while text.len() < wanted {
            seed += 7919;
            text = format!("{text} {}", words(seed));
        }
        text.truncate(longest.max(1));
        text.trim_end().to_owned()
    }
}

fn type_of(schema: &Value) -> &str {
    // ["string", "null"] is how a field that may be empty is written.
    schema["type"]
        .as_str()
        .or_else(|| schema["type"][0].as_str())
        .unwrap_or_default()
}

/// Within an array, integers count upwards from the minimum: rooms are numbered that way.
fn integer(schema: &Value, index: u64) -> Value {
    let lowest = schema["minimum"].as_i64().unwrap_or(1);
    let highest = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    json!(lowest.saturating_add(index.cast_signed()).min(highest))
}

/// Two pronounceable words that differ for different seeds, such as "Bokati Remasu".
fn words(seed: u64) -> String {
    // Multiplying by an odd number permutes 64 bits, so neighbours do not look alike.
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let mut word = || {
        let mut word = String::new();
        for _ in 0..4 {
            word.push(b"bdfgklmnprstvz"[(bits % 14) as usize].into());
            word.push(b"aeiou"[(bits / 14 % 5) as usize].into());
            bits /= 70;
        }
        word[..1].to_uppercase() + &word[1..]
    };
    format!("{} {}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_filled_schema_has_every_field_in_its_range() {
        let schema = json!({"type": "object", "properties": {
            "title": {"type": "string", "minLength": 20, "maxLength": 30},
            "kind": {"enum": ["ruin", "cave"]},
            "level": {"type": "integer", "minimum": 3, "maximum": 4},
            "cr": {"type": "number", "minimum": 0.25},
            "rooms": {"type": "array", "minItems": 2, "items": {
                "type": "object", "properties": {"room_number": {"type": "integer", "minimum": 1}}}}}});
        let item = fill(&schema, 1);
        let length = item["title"].as_str().unwrap().len();
        assert!((20..=30).contains(&length), "{item}");
        assert_eq!(item["kind"], "ruin");
        assert_eq!(item["level"], 3);
        assert_eq!(item["cr"], 0.25);
        assert_eq!(item["rooms"][1]["room_number"], 2);
    }

    #[test]
    fn a_thousand_items_have_a_thousand_titles() {
        let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}});
        let titles: HashSet<String> = (0..1000)
            .map(|number| fill(&schema, number).to_string())
            .collect();
        assert_eq!(titles.len(), 1000);
    }
}
