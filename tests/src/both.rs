//! One test, two installations: the SQL is the same source, so it must behave the same as an
//! extension and as the single file on a server without the library.

/// Makes tests of functions that take a `&Database`: each runs on the extension and on the SQL-only
/// installation, as `on_extension::name` and `on_sql_only::name`.
#[macro_export]
macro_rules! on_both_installs {
    ($($name:ident),+ $(,)?) => {
        mod on_extension {
            $(#[test]
            fn $name() {
                super::$name(&$crate::Database::quiet());
            })+
        }
        mod on_sql_only {
            $(#[test]
            fn $name() {
                super::$name(&$crate::Database::sql_only());
            })+
        }
    };
}
