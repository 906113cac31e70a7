//! `worker.accept_job()`: the trigger before a job is inserted. A plain job, with parameters that surely
//! fit, is taken here, which is many times faster than PL/pgSQL; everything else is handed over to
//! `worker.job_inserted()`, the one that knows all rules and all words for a refusal.

use crate::jsonb::JsonbText;
use crate::parameters::surely_fit;
use pgrx::pg_sys::submodules::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;
use pgrx::{AllocatedByPostgres, direct_function_call};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::ffi::CStr;
use std::rc::Rc;

/// A kind as a statement found it.
struct Kind {
    rules: Value,
    batch_size: i32,
    /// Its jobs also note their campaign.
    divided: bool,
}

/// What one statement has looked up: 10,000 jobs of an INSERT … SELECT look once.
struct Lookup {
    command: pg_sys::CommandId,
    kinds: Vec<(String, Option<Rc<Kind>>)>,
}

thread_local! {
    static LOOKUP: RefCell<Option<Lookup>> = const { RefCell::new(None) };
    static CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Takes plain jobs at once and gives all others to `worker.job_inserted()`.
// As pgrx would write it, but in place of an earlier version's too.
#[pg_trigger(
    sql = "create or replace function accept_job() returns trigger language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn accept_job<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, Infallible> {
    let data = trigger.trigger_data();
    let row = Row {
        tuple: data.tg_trigtuple,
        shape: unsafe { (*data.tg_relation).rd_att },
    };
    let tuple = match asked(&row) {
        Some(asked) => row.with(asked),
        None => unsafe { ask_the_judge(data) },
    };
    Ok((!tuple.is_null()).then(|| unsafe { PgHeapTuple::from_heap_tuple(row.descriptor(), tuple) }))
}

/// How many items a plain job asks for; None where it is not plain.
fn asked(row: &Row) -> Option<i32> {
    let is_utf8 = unsafe { pg_sys::GetDatabaseEncoding() } == pg_sys::pg_enc::PG_UTF8 as i32;
    let plain = is_utf8
        && row.get::<String>(c"status").as_deref() == Some("pending")
        && row
            .get::<i32>(c"priority")
            .is_some_and(|priority| (1..=10).contains(&priority))
        && row
            .get::<String>(c"dedupe_key")
            .is_none_or(|key| (1..=500).contains(&key.len()));
    if !plain {
        return None;
    }
    let kind = kind(&row.get::<String>(c"job_type")?)?;
    let parameters: Value = serde_json::from_str(&row.get::<JsonbText>(c"parameters")?.0).ok()?;
    if kind.divided || !surely_fit(&kind.rules, &parameters) {
        return None;
    }
    match parameters.get("count") {
        None | Some(Value::Null) => Some(kind.batch_size),
        Some(count) => i32::try_from(count.as_i64()?).ok(),
    }
}

/// The kind of a job type, looked up once for each statement.
fn kind(job_type: &str) -> Option<Rc<Kind>> {
    forget_at_the_end();
    let command = unsafe { pg_sys::GetCurrentCommandId(false) };
    let known = LOOKUP.with_borrow(|lookup| {
        let lookup = lookup.as_ref().filter(|lookup| lookup.command == command)?;
        lookup
            .kinds
            .iter()
            .find(|(name, _)| name == job_type)
            .map(|(_, kind)| kind.clone())
    });
    if let Some(kind) = known {
        return kind;
    }
    let kind = look_up(job_type).map(Rc::new);
    LOOKUP.with_borrow_mut(|lookup| {
        if lookup.as_ref().is_none_or(|lookup| lookup.command != command) {
            *lookup = Some(Lookup {
                command,
                kinds: Vec::new(),
            });
        }
        lookup
            .as_mut()
            .expect("just put there")
            .kinds
            .push((job_type.to_owned(), kind.clone()));
    });
    kind
}

fn look_up(job_type: &str) -> Option<Kind> {
    let (name, rules, shipped_batch, divided) = find(c"worker", c"kinds", c"job_type", job_type, |row| {
        let rules = serde_json::from_str(&row.get::<JsonbText>(c"parameters")?.0).ok()?;
        let divided = row.get::<String>(c"scope_parameter").is_some();
        Some((
            row.get::<String>(c"kind")?,
            rules,
            row.get::<i32>(c"batch_size"),
            divided,
        ))
    })?;
    let own_batch = find(c"public", c"content_pools", c"kind", &name, |row| {
        row.get::<i32>(c"batch_size")
    });
    Some(Kind {
        rules,
        batch_size: own_batch.or(shipped_batch).unwrap_or(1),
        divided,
    })
}

/// What `read` makes of the row of a small table whose column has this text. Read without a plan, in
/// the snapshot of the statement that inserts.
fn find<T>(
    schema: &CStr,
    table: &CStr,
    column: &CStr,
    text: &str,
    read: impl Fn(&Row) -> Option<T>,
) -> Option<T> {
    unsafe {
        let oid = pg_sys::get_relname_relid(table.as_ptr(), pg_sys::get_namespace_oid(schema.as_ptr(), true));
        if oid == pg_sys::InvalidOid {
            return None;
        }
        let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as i32);
        let shape = (*relation).rd_att;
        let mut key = pg_sys::ScanKeyData::default();
        let number = pg_sys::SPI_fnumber(shape, column.as_ptr()) as pg_sys::AttrNumber;
        let wanted = text.into_datum().expect("a text");
        let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
        pg_sys::ScanKeyInit(
            &mut key,
            number,
            equal,
            pg_sys::Oid::from(pg_sys::F_TEXTEQ),
            wanted,
        );
        let snapshot = pg_sys::GetActiveSnapshot();
        let scan = pg_sys::systable_beginscan(relation, pg_sys::InvalidOid, false, snapshot, 1, &mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = if tuple.is_null() {
            None
        } else {
            read(&Row { tuple, shape })
        };
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        found
    }
}

/// Commands are counted anew in every transaction.
fn forget_at_the_end() {
    if !CALLBACK.replace(true) {
        unsafe { pg_sys::RegisterXactCallback(Some(forget), std::ptr::null_mut()) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn forget(_event: pg_sys::XactEvent::Type, _argument: *mut core::ffi::c_void) {
    LOOKUP.set(None);
}

/// Calls `worker.job_inserted()` as the server would have called it for this row.
unsafe fn ask_the_judge(data: &pg_sys::TriggerData) -> pg_sys::HeapTuple {
    unsafe {
        let name = c"worker.job_inserted()".as_ptr();
        let judge = direct_function_call::<pg_sys::Oid>(pg_sys::regprocedurein, &[Some(name.into())]);
        let mut function = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(judge.expect("worker.job_inserted()"), &mut function);
        let mut call = pg_sys::FunctionCallInfoBaseData {
            context: std::ptr::from_ref(data).cast_mut().cast(),
            ..Default::default()
        };
        call.flinfo = &mut function;
        let entry = function.fn_addr.expect("a function's entry");
        pg_guard_ffi_boundary(|| entry(&mut call)).cast_mut_ptr()
    }
}

/// A row of a table, read by the names of its columns.
struct Row {
    tuple: pg_sys::HeapTuple,
    shape: pg_sys::TupleDesc,
}

impl Row {
    fn number(&self, column: &CStr) -> i32 {
        unsafe { pg_sys::SPI_fnumber(self.shape, column.as_ptr()) }
    }

    fn get<T: FromDatum>(&self, column: &CStr) -> Option<T> {
        let mut is_null = false;
        unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.shape, self.number(column), &mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// The same row as a plain job's: with what it asks for, and due now where it does not say when.
    fn with(&self, asked: i32) -> pg_sys::HeapTuple {
        let due = self.get::<TimestampWithTimeZone>(c"run_at").is_some();
        if due && self.get::<i32>(c"asked") == Some(asked) {
            return self.tuple;
        }
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        let mut numbers = [self.number(c"asked"), self.number(c"run_at")];
        let values = [pg_sys::Datum::from(asked), pg_sys::Datum::from(now)];
        unsafe {
            pg_sys::heap_modify_tuple_by_cols(
                self.tuple,
                self.shape,
                if due { 1 } else { 2 },
                numbers.as_mut_ptr(),
                values.as_ptr().cast_mut(),
                [false, false].as_ptr().cast_mut(),
            )
        }
    }

    unsafe fn descriptor(&self) -> pgrx::PgTupleDesc<'static> {
        unsafe { pgrx::PgTupleDesc::from_pg_unchecked(self.shape) }
    }
}
