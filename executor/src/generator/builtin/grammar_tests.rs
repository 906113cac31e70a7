//! The template language, one behaviour a test.

use serde_json::json;

use super::*;

fn made(item: Value, rules: Value, seed: i64) -> Made<Value> {
    let context =
        json!({"low": 3, "high": 5, "cr": 0.25, "place": "a mill", "list": ["x", "y"], "pair": {"a": 1}});
    write(&json!({"item": item, "rules": rules}), &context, seed)
}

#[test]
fn one_seed_gives_one_item_and_many_seeds_give_many() {
    let item = json!({"title": "The {^adj} {thing}", "n": {"$int": [1, 1000]}});
    let rules = json!({"adj": ["old", "new", "red"], "thing": ["{adj} bell", "door"]});
    let first = made(item.clone(), rules.clone(), 1).unwrap();
    assert_eq!(first, made(item.clone(), rules.clone(), 1).unwrap());
    let different: HashSet<String> = (0..50)
        .map(|seed| made(item.clone(), rules.clone(), seed).unwrap().to_string())
        .collect();
    assert!(different.len() > 40);
}

#[test]
fn a_lone_placeholder_keeps_the_type_and_inside_of_text_it_is_text() {
    let item = json!({"a": "{=low}", "b": "level {=low}", "c": "{=list}", "d": "{=pair}", "e": "{plan}", "f": "{=cr}!"});
    let rules = json!({"plan": [[{"type": "go", "count": {"$int": [2, 2]}}]]});
    let expected = json!({"a": 3, "b": "level 3", "c": ["x", "y"], "d": {"a": 1}, "f": "0.25!",
                          "e": [{"type": "go", "count": 2}]});
    assert_eq!(made(item, rules, 9), Ok(expected));
}

#[test]
fn names_are_remembered_through_the_whole_item() {
    let item = json!(["{who:first} came", "{who:first} saw", "{:who} won", "{^:who}!"]);
    let item = made(item, json!({"first": ["ada", "bob", "cleo", "dan"]}), 5).unwrap();
    let name = item[0].as_str().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(item[1], format!("{name} saw"));
    assert_eq!(item[2], format!("{name} won"));
    assert_eq!(item[3], format!("{}!", capitalised(&name)));
}

#[test]
fn numbers_stay_in_their_ranges() {
    for seed in 0..200 {
        let item = json!({"n": {"$int": ["{=low}", "{=high}"]}, "r": {"$real": [0.125, 0.5, 2]}});
        let item = made(item, json!({}), seed).unwrap();
        assert!((3..=5).contains(&item["n"].as_i64().unwrap()));
        assert!((0.125..=0.5).contains(&item["r"].as_f64().unwrap()));
    }
}

#[test]
fn repeat_counts_and_tells_elements_apart() {
    let item =
        json!({"$repeat": {"of": {"no": "{=index}", "name": "{n}"}, "count": [2, 3], "distinct_by": "name"}});
    for seed in 0..50 {
        let list = made(item.clone(), json!({"n": ["a", "b", "c"]}), seed).unwrap();
        let list = list.as_array().unwrap();
        assert!((2..=3).contains(&list.len()));
        assert_eq!(list[0]["no"], 1);
        let names: HashSet<_> = list.iter().map(|e| e["name"].to_string()).collect();
        assert_eq!(names.len(), list.len());
    }
    let too_few = made(item, json!({"n": ["a"]}), 1);
    assert_eq!(
        too_few,
        Err(GrammarError::TooFew {
            directive: "$repeat",
            wanted: 2
        })
    );
}

#[test]
fn sample_pick_and_join() {
    let item = json!({"s": {"$sample": {"from": "n", "count": [2, 2]}}, "p": {"$pick": "{=list}"},
                      "q": {"$pick": [1, "{n}"]}, "j": {"$join": ["a {=low}", "", "{n}"]}});
    for seed in 0..50 {
        let item = made(item.clone(), json!({"n": ["a", "b", "c"]}), seed).unwrap();
        assert_ne!(item["s"][0], item["s"][1]);
        assert!(item["p"] == "x" || item["p"] == "y");
        assert!(item["j"].as_str().unwrap().starts_with("a 3 "));
    }
}

#[test]
fn mistakes_are_named() {
    let cases = [
        (json!("{nobody}"), "unknown rule \"nobody\""),
        (json!("{=nothing}"), "unknown variable \"nothing\""),
        (json!({"$roll": 6}), "unknown directive \"$roll\""),
        (json!("{loop}"), "more than 40 levels deep, at \"loop\""),
        (json!("{:who}"), "before anything was remembered"),
        (json!("{open"), "not closed"),
        (json!("x {=list}"), "gives a list"),
        (json!({"$int": [5, 1]}), "5 is above 1"),
        (json!({"$int": ["{=place}", 1]}), "numbers"),
        (json!({"$int": 3}), "[least, most]"),
        (json!({"$repeat": {"count": 1}}), "$repeat takes"),
        (json!({"$pick": []}), "$pick takes"),
        (json!("{empty}"), "no alternatives"),
    ];
    for (item, expected) in cases {
        let error = made(item.clone(), json!({"loop": ["{loop}"], "empty": []}), 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{item}: {error}");
    }
    assert_eq!(write(&Value::Null, &Value::Null, 1), Err(GrammarError::Missing));
}
