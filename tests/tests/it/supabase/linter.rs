//! The rules of Supabase's database linter (splinter) of the levels WARN and ERROR that can concern us, asked of
//! the objects of both installs, and of the extension's as if they were plain.

use super::{WAYS, cluster, database};
use pg_worker_tests::Session;

/// A rule by its number and name, and a query that gives what it complains of.
const RULES: [(&str, &str); 11] = [
    ("0006 multiple permissive policies", "
        select format('%s %s %s', p.polrelid::regclass, r.rolname, a.act) from pg_policy p
          join pg_roles r on r.oid = any (p.polroles) or p.polroles = array[0::oid]
         cross join unnest(case p.polcmd when '*' then array['r', 'a', 'w', 'd'] else array[p.polcmd::text] end) a(act)
         where p.polpermissive and not r.rolbypassrls and r.rolname not like 'pg\\_%' group by 1 having count(*) > 1"),
    ("0007 policies while row level security is off", "
        select distinct c.oid::regclass::text from pg_policy p join pg_class c on c.oid = p.polrelid where not c.relrowsecurity"),
    ("0009 duplicate indexes", "
        select string_agg(indexrelid::regclass::text, ', ') from pg_index i join pg_class c on c.oid = i.indrelid
         where c.relnamespace in ('public'::regnamespace, 'worker'::regnamespace)
         group by regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+ ON', '') having count(*) > 1"),
    ("0010 views that act for their owner", "
        select c.oid::regclass::text from pg_class c where c.relkind = 'v' and c.relnamespace in ('public'::regnamespace, 'worker'::regnamespace)
           and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on'], false)"),
    ("0011 functions without a search_path", "
        select p.oid::regprocedure::text from pg_proc p where p.pronamespace in ('public'::regnamespace, 'worker'::regnamespace)
           and p.prolang <> (select oid from pg_language where lanname = 'c')
           and not coalesce(p.proconfig::text like '%search_path=%', false)"),
    ("0013 row level security off in an exposed schema", "
        select c.oid::regclass::text from pg_class c where c.relkind = 'r' and not c.relrowsecurity and c.relnamespace = 'public'::regnamespace"),
    ("0014 extensions in public", "
        select extname::text from pg_extension where extnamespace = 'public'::regnamespace"),
    ("0016 materialised views and 0017 foreign tables in an exposed schema", "
        select c.oid::regclass::text from pg_class c where c.relkind in ('m', 'f') and c.relnamespace = 'public'::regnamespace"),
    ("0023 sensitive columns exposed", "
        select a.attrelid::regclass || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
           and a.attname ~ '(secret|token|password|api_key)'"),
    ("0024 policies that are always true for the API's public roles", "
        select format('%s %s', p.polrelid::regclass, p.polname) from pg_policy p
         where p.polroles && array[0::oid, 'anon'::regrole::oid, 'authenticated'::regrole::oid]"),
    ("0026 to 0029 what anon and authenticated can reach", "
        select f::text from pg_proc p cross join lateral (select p.oid::regprocedure) x(f) cross join (values ('anon'), ('authenticated')) r(role)
         where p.pronamespace in ('public'::regnamespace, 'worker'::regnamespace) and has_function_privilege(r.role, p.oid, 'execute')"),
];

/// The extension's three functions of its library set no search_path: they look nothing up. The linter skips
/// extension members; of these nothing else is skipped here.
#[test]
fn no_warning_and_no_error() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    for (public, install) in WAYS {
        let database = database(&cluster, public, install);
        let mut postgres = database.session();
        // Roles as a project has them: a backend that is an executor too, and a role that only reads.
        let role = format!("{}_both", database.name());
        postgres.run(&format!("create role {role}; select worker.grant_backend('{role}'); select worker.grant_executor('{role}')"));
        assert_eq!(
            complaints(&mut postgres),
            Vec::<String>::new(),
            "{public:?} {install:?}"
        );
    }
}

/// The rules are no empty promise: what they must find, they find.
#[test]
fn each_rule_finds_what_it_is_for() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    let database = database(&cluster, super::Public::Shipped, super::Install::SqlOnly);
    let mut postgres = database.session();
    postgres.run(
        "create table open_table (id int, secret text); create index a on open_table (id); create index b on open_table (id);
         create policy p on open_table using (true); create policy q on open_table using (true);
         create view acting as select 1; create materialized view m as select 1;
         create function f() returns int language sql return 1",
    );
    super::admin(&cluster, database.name()).run("create extension pgcrypto schema public");
    let found = complaints(&mut postgres);
    for (rule, _) in RULES {
        assert!(
            found.iter().any(|line| line.starts_with(rule)),
            "{rule} found nothing: {found:?}"
        );
    }
}

fn complaints(session: &mut Session) -> Vec<String> {
    let ask = |(rule, sql): &(&str, &str)| {
        let found: Vec<String> = session.column(sql, &[]);
        found
            .into_iter()
            .map(|what| format!("{rule}: {what}"))
            .collect::<Vec<_>>()
    };
    RULES.iter().flat_map(ask).collect()
}
