//! Recipes.

use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::model::{KEYS, PARTS};
use crate::recipe::{BuildRecipe, Recipe, Stage, completed};
use crate::{Error, Result, slots};
use std::collections::BTreeSet;
use toml::Table;

/// Checks a recipe: stages of all its types complete, in order and each by itself, and twice gives the same; what they name is
/// said before the recipe runs.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_recipe<C: BuildRecipe>(options: C) {
    check::<slots::recipe, C>(options);
}

impl Examined for slots::recipe {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let paths: Vec<&str> = PARTS.iter().filter(|part| part.of.is_none()).map(|part| part.path).collect();
        let build = |options: Table| subject.registry.make::<slots::recipe>(subject.name, options);
        report.check("types of stages", |findings| {
            let types = build(subject.options.clone())?.types();
            let names: BTreeSet<&str> = types.iter().map(|(name, _)| *name).collect();
            if types.is_empty() || names.len() != types.len() {
                findings.push(format!("{} types of {} names", types.len(), names.len()));
            }
            findings
                .extend(types.iter().filter(|t| t.1.is_empty()).map(|t| format!("nothing says what `{}` is for", t.0)));
            Ok(())
        });
        for (what, compat) in [("all stages complete", false), ("all stages complete with compat = \"dualk\"", true)] {
            report.check(what, |findings| {
                let recipe = build(subject.options.clone())?;
                let types = recipe.types();
                let stages = || types.iter().map(|(name, _)| stage(name)).collect::<Result<Vec<Stage>>>();
                let once = completed(recipe.as_ref(), stages()?, compat, &paths)?;
                if once != completed(recipe.as_ref(), stages()?, compat, &paths)? {
                    findings.push("two completions of the same stages differ".to_owned());
                }
                if once != completed(recipe.as_ref(), once.clone(), compat, &paths)? {
                    findings.push("a completed stage is completed to another".to_owned());
                }
                for (one, (name, _)) in once.iter().zip(&types) {
                    completed(recipe.as_ref(), vec![stage(name)?], compat, &paths)?;
                    let unknown = one.freeze().iter().filter(|path| !paths.contains(&path.as_str()));
                    findings.extend(unknown.map(|path| format!("`{name}` freezes `{path}`, which no model has")));
                }
                Ok(())
            });
        }
        check_needs(subject, &paths, report);
        check_options(subject, report, |options| build(options).map(|_| Vec::new()));
    }
}

/// A stage of which a manifest says nothing but its type.
fn stage(name: &str) -> Result<Stage> {
    let table = Table::from_iter([("type".to_owned(), name.into())]);
    table.try_into::<Stage>().map_err(|e| Error::program(e.to_string()))
}

/// Whether a recipe says what it names, so that plugins are known before any of their code runs.
fn check_needs(subject: &Subject<'_>, paths: &[&'static str], report: &mut Report) {
    report.check("NEEDS says what it names", |findings| {
        let recipe = subject.registry.make::<slots::recipe>(subject.name, subject.options.clone())?;
        let stages = recipe.types().iter().map(|(name, _)| stage(name)).collect::<Result<Vec<Stage>>>()?;
        let stages = completed(recipe.as_ref(), stages, false, paths)?;
        let needs: Vec<&str> = subject.registry.info(Slot::Recipe, subject.name)?.needs.lines().collect();
        let named = named_by(recipe.as_ref(), &stages).into_iter();
        let missing = named.filter(|(slot, name)| !needs.contains(&format!("+{slot} {name}").as_str()));
        findings.extend(missing.map(|(slot, name)| format!("there is no line `+{slot} {name}`")));
        Ok(())
    });
}

/// The components that a recipe names where a manifest names none.
fn named_by(recipe: &dyn Recipe, stages: &[Stage]) -> BTreeSet<(Slot, String)> {
    let parts = KEYS.iter().filter_map(|&(key, slot)| Some((slot, recipe.part(key)?.to_owned())));
    let of_stage = |stage: &Stage| [(Slot::Objective, stage.objective().1), (Slot::Loss, stage.loss())];
    let of_stages = stages.iter().flat_map(of_stage).map(|(slot, component)| (slot, component.r#type));
    parts.chain(of_stages).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Wrong, finds};
    use super::*;
    use crate::recipe::StageContext;

    impl BuildRecipe for Wrong {
        fn build(self) -> Result<Box<dyn Recipe>> {
            self.width()?;
            Ok(Box::new(self))
        }
    }

    impl Recipe for Wrong {
        fn types(&self) -> Vec<(&'static str, &'static str)> {
            vec![("fit", "learns")]
        }

        fn part(&self, key: &str) -> Option<&'static str> {
            match key {
                "lab" => self.is("secretive").then_some("linear"),
                _ => None,
            }
        }

        fn complete(&self, stage: Stage, _: &StageContext<'_>) -> Result<Stage> {
            let (objective, loss) = (Some(ComponentRef::named("what")), Some(ComponentRef::named("how")));
            Ok(Stage { objective, loss, ..stage })
        }
    }

    #[test]
    fn of_a_recipe() {
        let words = "there is no line `+lab linear`";
        finds(Slot::Recipe, |r| r.add::<slots::recipe, Wrong>(), &[("secretive", "NEEDS says what it names", words)]);
    }
}
