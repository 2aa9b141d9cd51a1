//! Options that tasks share, each declared once.

/// Declares the options of a task as [`options!`](dualk_sdk::options!) does: its own, then those that it has in common with others
/// `of` its kind. Tasks of `visits` predict the codes of one, those of `stays` something else of a stay, and tasks of what comes
/// `after` a stay when the next one begins.
macro_rules! task_options {
    (@with [$($head:tt)*] [$($own:tt)*] $($labs:tt)*) => {
        dualk_sdk::options! { $($head)* {
            $($own)*
            /// What the head sees: `full` (decoder embeddings, patient, labs) or `direct` (patient, labs).
            #[schemars(extend("x-input" = true))]
            pub head: $crate::next_visit::TaskHead = $crate::next_visit::TaskHead::Full,
            $($labs)*
        } }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($own:tt)* } of visits) => {
        $crate::task_options::task_options! { @with [$(#[$meta])* $vis struct $name] [$($own)*]
            /// Whose abnormal items enter: of the visit that is predicted (`target`, as published), of the `last` visit before
            /// it, of the `history` before it, or `none`. Default: `history`, and `target` with `compat`.
            #[schemars(extend("x-compat" = "target", "x-input" = true))]
            pub labs: dualk_sdk::component::Labs = dualk_sdk::component::Labs::History,
            /// Learn from every visit after the first, instead of the last visit of each patient.
            #[schemars(extend("x-input" = true))]
            pub all_visits: bool = false,
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($own:tt)* } of stays) => {
        $crate::task_options::task_options! { @with [$(#[$meta])* $vis struct $name] [$($own)*]
            /// Whose abnormal items enter: of the stay that is asked about (`target`), of the `last` visit before it, of the `history`
            /// before it, or `none`; of the visits before only where they are seen.
            #[schemars(extend("x-input" = true))]
            pub labs: dualk_sdk::component::Labs = dualk_sdk::component::Labs::History,
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($own:tt)* } of after) => {
        $crate::task_options::task_options! { @with [$(#[$meta])* $vis struct $name] [$($own)*]
            /// Whose abnormal items enter: of the `last` visit before the next stay, of the `history` before it as far as that is
            /// seen, or `none`.
            #[schemars(extend("x-input" = true))]
            pub labs: $crate::stays::Before = $crate::stays::Before::History,
        }
    };
}
pub(crate) use task_options;
