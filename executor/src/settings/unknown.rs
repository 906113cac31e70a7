//! Finds misspelt variables. `WORKER_POLL_INTERVALL_MS=1000` does nothing at all, silently, unless
//! somebody says so: every variable with one of our prefixes must be one that we know.

const PREFIXES: [&str; 2] = ["WORKER_", "LOCAL_LLM_"];
/// Kubernetes sets these, and more like them, where a service is named worker.
const SERVICE: &str = "WORKER_SERVICE_HOST";
const OF_SERVICE: [&str; 2] = ["WORKER_SERVICE_", "WORKER_PORT_"];
/// Below this likeness a suggestion would confuse more than it helps.
const ALIKE: f64 = 0.8;

/// A variable that looks like one of ours and is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown {
    pub name: String,
    pub nearest: Option<String>,
}

/// All such variables among `present`; `known` are the names that the command line declares.
pub fn unknown_variables(present: impl Iterator<Item = String>, known: &[String]) -> Vec<Unknown> {
    let begins = |name: &String, with: &[&str]| with.iter().any(|prefix| name.starts_with(prefix));
    let mut present: Vec<String> = present.filter(|name| begins(name, &PREFIXES)).collect();
    if present.iter().any(|name| name == SERVICE) {
        present.retain(|name| !begins(name, &OF_SERVICE));
    }
    let mut unknown: Vec<Unknown> = present
        .into_iter()
        .filter(|name| !known.contains(name))
        .map(|name| Unknown {
            nearest: nearest(&name, known),
            name,
        })
        .collect();
    unknown.sort_by(|a, b| a.name.cmp(&b.name));
    unknown
}

fn nearest(name: &str, known: &[String]) -> Option<String> {
    known
        .iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        [
            "DATABASE_URL",
            "WORKER_POLL_INTERVAL_MS",
            "WORKER_PORT",
            "LOCAL_LLM_ENDPOINT",
        ]
        .map(String::from)
        .to_vec()
    }

    #[test]
    fn misspelt_names_come_with_the_nearest_known_one() {
        let present = [
            "WORKER_POLL_INTERVALL_MS",
            "LOCAL_LLM_ENDPIONT",
            "PATH",
            "WORKER_PORT",
        ];
        let found = unknown_variables(present.map(String::from).into_iter(), &known());
        let pairs: Vec<_> = found
            .iter()
            .map(|u| (u.name.as_str(), u.nearest.as_deref()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("LOCAL_LLM_ENDPIONT", Some("LOCAL_LLM_ENDPOINT")),
                ("WORKER_POLL_INTERVALL_MS", Some("WORKER_POLL_INTERVAL_MS"))
            ]
        );
    }

    #[test]
    fn the_variables_of_a_service_named_worker_are_kubernetes_own() {
        let present = [
            SERVICE,
            "WORKER_SERVICE_PORT",
            "WORKER_PORT_3002_TCP_ADDR",
            "WORKER_PROT",
        ];
        let found = unknown_variables(present.map(String::from).into_iter(), &known());
        let names: Vec<_> = found.iter().map(|unknown| unknown.name.as_str()).collect();
        assert_eq!(names, ["WORKER_PROT"]);
        let without = unknown_variables(["WORKER_PORT_3002".to_owned()].into_iter(), &known());
        assert_eq!(without.len(), 1);
    }

    #[test]
    fn a_name_like_none_of_ours_gets_no_suggestion() {
        let found = unknown_variables(["WORKER_XYZZY".to_owned()].into_iter(), &known());
        assert_eq!(
            found,
            [Unknown {
                name: "WORKER_XYZZY".into(),
                nearest: None
            }]
        );
    }
}
