use super::*;
use crate::schema::Schemas;
use proptest::prelude::*;
use serde_json::json;

fn check() -> Check {
    let schema = json!({"type": "object", "required": ["title"], "additionalProperties": false,
                        "properties": {"title": {"type": "string", "minLength": 1}}});
    Schemas::default().check_for(&schema).unwrap()
}

fn of(content: &str) -> Result<Value, Class> {
    let answer = Answer {
        content: content.into(),
        ..Answer::default()
    };
    item(&answer, &check()).map_err(|rejection| rejection.class)
}

#[test]
fn thoughts_fences_and_chatter_are_cut_away() {
    let item = json!({"title": "A {curly} tale"});
    for text in [
        r#"{"title": "A {curly} tale"}"#,
        "```json\n{\"title\": \"A {curly} tale\"}\n```",
        "Sure! Here it is:\n{\"title\": \"A {curly} tale\"}\nEnjoy {it}!",
        "<think>maybe {\"title\": \"no\"}?</think>{\"title\": \"A {curly} tale\"}",
        "so {\"title\": \"no\"}…</think>\n\n{\"title\": \"A {curly} tale\"}",
        "{\"title\": \"draft\"} or better: {\"title\": \"A {curly} tale\"}",
        "{\"title\": \"A {curly} tale\"} and {\"not\": \"this\"}",
    ] {
        assert_eq!(of(text).as_ref(), Ok(&item), "{text}");
    }
}

#[test]
fn what_is_missing_has_a_class() {
    assert_eq!(of(""), Err(Class::Empty));
    assert_eq!(of("  \n"), Err(Class::Empty));
    assert_eq!(of("<think>{\"title\": \"x\"}"), Err(Class::Empty));
    assert_eq!(of("I cannot do that."), Err(Class::NotJson));
    assert_eq!(of("{\"title\": 7}"), Err(Class::Schema));
    assert_eq!(of("{\"title\": \"cut o"), Err(Class::Truncated));
    assert_eq!(of("[\"title\"]"), Err(Class::NotJson));
    assert_eq!(of("{\"title\": \"\\ud800\"}"), Err(Class::NotJson));
}

#[test]
fn nothing_is_taken_from_inside_of_a_cut_off_object() {
    assert_eq!(
        of("{\"quest\": {\"title\": \"inner\"}, \"more\": \"cut"),
        Err(Class::Truncated)
    );
}

#[test]
fn nothing_is_taken_from_inside_of_an_object_that_is_not_valid() {
    for text in [
        "{\"quest\": {\"title\": \"inner\"}, oops}",
        "{quest: {\"title\": \"inner\"}}",
        "{'quest': {\"title\": \"inner\"}}",
        "{\"quest\": {\"title\": \"inner\"}, \"b\": 'x'",
    ] {
        assert_eq!(of(text), Err(Class::NotJson), "{text}");
    }
    let corrected = "{title: oops} I mean {\"title\": \"x\"} {it}";
    assert_eq!(of(corrected), Ok(json!({"title": "x"})));
}

#[test]
fn the_reasoning_field_counts_only_when_the_content_is_empty() {
    let reasoning = "hm {\"title\": \"from thoughts\"}".to_owned();
    let answer = Answer {
        content: " ".into(),
        reasoning: reasoning.clone(),
        cut_off: false,
    };
    assert_eq!(item(&answer, &check()), Ok(json!({"title": "from thoughts"})));
    let answer = Answer {
        content: "no".into(),
        reasoning,
        cut_off: false,
    };
    assert_eq!(item(&answer, &check()).unwrap_err().class, Class::NotJson);
}

#[test]
fn a_complete_object_counts_even_if_the_rest_was_cut_off() {
    let answer = Answer {
        content: "{\"title\": \"whole\"}  ".into(),
        cut_off: true,
        ..Answer::default()
    };
    assert!(item(&answer, &check()).is_ok());
    let answer = Answer {
        content: "{\"title\": 1} and".into(),
        cut_off: true,
        ..Answer::default()
    };
    assert_eq!(item(&answer, &check()).unwrap_err().class, Class::Truncated);
}

/// Each of these would take hours if every brace were tried to its end.
#[test]
fn hostile_nesting_comes_to_an_end() {
    for (text, class) in [
        ("{\"a\":".repeat(LONGEST / 5), Class::NotJson),
        ("{".repeat(LONGEST), Class::NotJson),
        ("{\"a\":[".repeat(LONGEST / 6), Class::NotJson),
    ] {
        assert_eq!(of(&text), Err(class), "{}…", &text[..6]);
    }
}

proptest! {
    #[test]
    fn garbage_never_panics_and_never_passes(text in "[{}\\[\\]\"a-z:,0-9 <>/`\\\\]{0,200}") {
        if let Ok(found) = of(&text) { prop_assert!(found["title"].is_string()); }
    }

    #[test]
    fn an_item_is_found_between_any_chatter(before in "[a-zA-Z \n.!`]{0,80}", after in "[a-zA-Z \n.!`}]{0,80}",
                                            title in "[^\u{0}]{1,40}") {
        let text = format!("{before}{}{after}", json!({"title": title}));
        prop_assert_eq!(of(&text), Ok(json!({"title": title})));
    }

    #[test]
    fn an_item_cut_off_anywhere_is_never_taken(title in "[a-z {}\"]{1,30}", part in 0.0f64..1.0) {
        let whole = json!({"title": title}).to_string();
        let cut = (whole.len() as f64 * part) as usize;
        prop_assume!(whole.is_char_boundary(cut));
        prop_assert!(of(&whole[..cut]).is_err());
    }
}
