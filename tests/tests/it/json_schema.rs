//! What a JSON Schema may cost: nobody can interrupt a validation, and every backend may ask for one.

use pg_worker_tests::{Database, Session};
use serde_json::{Value, json};

fn errors(session: &mut Session, schema: &Value, value: &Value) -> Vec<String> {
    session.value("select worker.json_schema_errors($1, $2)", &[schema, value])
}

fn refused(session: &mut Session, schema: &Value, value: &Value) -> String {
    let refusal = session.refused("select worker.json_schema_errors($1, $2)", &[schema, value]);
    assert_eq!(refusal.code(), "22023", "{refusal:?}");
    format!("{refusal:?}")
}

/// `levels` schemas, each of which asks twice for the next one.
fn doubling(keyword: &str, levels: usize) -> Value {
    let level = |n: usize| {
        let next = json!({"$ref": format!("#/$defs/l{}", n + 1)});
        json!({keyword: [next, next]})
    };
    let mut defs: serde_json::Map<_, _> = (0..levels).map(|n| (format!("l{n}"), level(n))).collect();
    defs.insert(format!("l{levels}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/l0", "$defs": defs})
}

/// It ran for 20 seconds under a statement_timeout of one, with 40 levels for ever.
#[test]
fn a_schema_that_asks_for_too_much_is_refused_at_once() {
    let db = Database::quiet();
    let mut session = db.session();
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for levels in [24, 40, 200] {
            let told = refused(&mut session, &doubling(keyword, levels), &json!("x"));
            assert!(told.contains("takes too long"), "{keyword}, {levels}: {told}");
        }
        assert!(!errors(&mut session, &doubling(keyword, 8), &json!(1)).is_empty());
    }
}

/// It would have overflowed the stack, which ends the sessions of everybody.
#[test]
fn a_schema_that_leads_back_to_itself_is_refused() {
    let db = Database::quiet();
    let mut session = db.session();
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"properties": {"a": {"not": {"$ref": "#/properties/a"}}}}),
    ] {
        let told = refused(&mut session, &schema, &json!({"a": 1}));
        assert!(told.contains("leads back to itself"), "{told}");
    }
    let links = 20_000;
    let mut defs: serde_json::Map<_, _> = (0..links)
        .map(|n| (n.to_string(), json!({"$ref": format!("#/d/{}", n + 1)})))
        .collect();
    defs.insert(links.to_string(), json!(true));
    let told = refused(&mut session, &json!({"$ref": "#/d/0", "d": defs}), &json!(1));
    assert!(
        told.contains("longer than") || told.contains("nest more"),
        "{told}"
    );
}

/// A dialogue whose answers lead to dialogues: it goes deeper into the value with each turn.
#[test]
fn a_schema_of_a_tree_is_fine() {
    let db = Database::quiet();
    let mut session = db.session();
    let schema = json!({
        "type": "object",
        "properties": {"line": {"type": "string"}, "answers": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["line"],
    });
    let mut tree = json!({"line": "And then?"});
    for _ in 0..30 {
        tree = json!({"line": "Well …", "answers": [tree, {"line": "No."}]});
    }
    assert_eq!(errors(&mut session, &schema, &tree), Vec::<String>::new());
    tree["answers"][0]["answers"][1] = json!({"text": 1});
    assert_eq!(errors(&mut session, &schema, &tree).len(), 1);
}

#[test]
fn a_schema_has_not_too_many_patterns_and_no_references_to_elsewhere() {
    let db = Database::quiet();
    let mut session = db.session();
    let many: serde_json::Map<_, _> = (0..101)
        .map(|n| (n.to_string(), json!({"pattern": format!("a{{{n}}}")})))
        .collect();
    let told = refused(&mut session, &json!({"properties": many}), &json!({}));
    assert!(told.contains("patterns"), "{told}");
    let told = refused(
        &mut session,
        &json!({"$ref": "https://example.org/item.json"}),
        &json!({}),
    );
    assert!(told.contains("does not point into the schema"), "{told}");
}
