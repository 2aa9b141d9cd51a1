//! The stages of the DuaLK publication (arXiv 2410.19955, and its code): the lab layer alone, pretraining of encoder and
//! decoders, of each decoder in turn, and fine-tuning.

use dualk_sdk::model::Parameter;
use dualk_sdk::prelude::*;
use dualk_sdk::recipe::{BuildRecipe, Mode, Recipe, Stage, StageContext};
use dualk_sdk::train::{Schedule, Select};

options! {
    /// Options of `dualk`: none.
    pub struct DualkOptions {}
}

impl Component for DualkOptions {
    const NAME: &'static str = "dualk";
    const ABOUT: &'static str = "Stages `lab`, `pretrain` (joint, then individual) and `finetune`.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
    const DEFAULT: bool = true;
    const NEEDS: &'static str = "+node_init random\n+graph_encoder gat\n+patient_encoder fusions\n+fusion attention\n\
        +lab linear\n+head mlp\n+objective abnormal_labs\n+objective lab_layer\n+objective diagnosis\n\
        +loss bce\n+loss weighted_bce\n";
}

impl BuildRecipe for DualkOptions {
    fn build(self) -> Result<Box<dyn Recipe>> {
        Ok(Box::new(Dualk))
    }
}

struct Dualk;

/// What the stages of a type have where a manifest says nothing.
struct Preset {
    objective: &'static str,
    loss: &'static str,
    epochs: usize,
    batch: usize,
    /// The published fall of the learning rate.
    schedule: Schedule,
}

/// The preset of a type; of `finetune` for any other than the first two.
fn preset(stage: &str, mode: Mode) -> Preset {
    match (stage, mode) {
        ("lab", _) => Preset {
            objective: "lab_layer",
            loss: "bce",
            epochs: 100,
            batch: 128,
            schedule: Schedule::Step { every: 20, factor: 0.5 },
        },
        ("pretrain", mode) => Preset {
            objective: "abnormal_labs",
            loss: "bce",
            epochs: 1,
            batch: 256,
            schedule: match mode {
                Mode::Joint => Schedule::Milestones { epochs: vec![10, 20, 30, 40, 50], factor: 0.5 },
                Mode::Individual => Schedule::Constant,
            },
        },
        _ => Preset {
            objective: "diagnosis",
            loss: "weighted_bce",
            epochs: 50,
            batch: 32,
            schedule: Schedule::Piecewise { from: vec![31, 41], lr: vec![5e-4, 1e-4] },
        },
    }
}

/// What a stage freezes: its individual form everything but the head whose turn it is, and the lab layer, which these heads do
/// not see; fine-tuning a lab layer that was trained.
fn frozen(stage: &Stage, context: &StageContext<'_>) -> Vec<&'static str> {
    let lab_is_trained = context.earlier.iter().any(|before| before.r#type == "lab");
    match () {
        () if stage.is_individual() => context.paths.iter().copied().filter(|path| *path != "lab").collect(),
        () if stage.r#type == "finetune" && lab_is_trained => vec!["lab"],
        () => Vec::new(),
    }
}

impl Recipe for Dualk {
    fn types(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("lab", "learns the lab layer, from the items of single-visit patients"),
            ("pretrain", "learns encoder and fusions from an auxiliary target; then its heads, each in turn"),
            ("finetune", "learns the task"),
        ]
    }

    fn part(&self, key: &str) -> Option<&'static str> {
        match key {
            "node_init" => Some("random"),
            "graph_encoder" => Some("gat"),
            "patient_encoder" => Some("fusions"),
            "code_fusion" | "visit_fusion" => Some("attention"),
            "lab" => Some("linear"),
            "head" => Some("mlp"),
            _ => None,
        }
    }

    fn complete(&self, mut stage: Stage, context: &StageContext<'_>) -> Result<Stage> {
        let (pretrains, finetunes) = (stage.r#type == "pretrain", stage.r#type == "finetune");
        if stage.mode.is_some() && !pretrains {
            return Err(Error::user("only stages of type `pretrain` have a mode").at_key("mode").help("remove it"));
        }
        if stage.task.is_some() && !finetunes {
            return Err(Error::user("only stages of type `finetune` have a task")
                .at_key("task")
                .help("other stages name what they learn with `objective`"));
        }
        if pretrains {
            stage.mode = Some(stage.mode());
        }
        let preset = preset(&stage.r#type, stage.mode());
        if stage.task.is_none() && stage.objective.is_none() {
            stage.objective = Some(ComponentRef::named(preset.objective));
        }
        stage.loss = stage.loss.or_else(|| Some(ComponentRef::named(preset.loss)));
        stage.epochs = stage.epochs.or(Some(preset.epochs));
        stage.batch = stage.batch.or(Some(preset.batch));
        // The published code goes on with joint's Adam and the rate that it ended with.
        let follows = context.earlier.last().is_some_and(|before| before.r#type == "pretrain");
        let carries = context.compat && stage.is_individual() && follows;
        stage.carry_optimizer = stage.carry_optimizer.or(Some(carries));
        let schedule = if stage.carries_optimizer() { Schedule::Constant } else { preset.schedule };
        stage.schedule = stage.schedule.or(Some(schedule));
        // The last epoch's weights of the lab layer, as published; elsewhere the best unless `compat`.
        let last = context.compat || stage.r#type == "lab";
        stage.select = stage.select.or(Some(if last { Select::Last } else { Select::Best }));
        if pretrains && context.compat {
            // Its evaluation after the first epoch leaves training mode.
            stage.dropout_epochs = stage.dropout_epochs.or(Some(1));
        }
        if stage.freeze.is_none() {
            stage.freeze = Some(frozen(&stage, context).into_iter().map(str::to_owned).collect());
        }
        stage.test = stage.test.or(Some(finetunes));
        Ok(stage)
    }

    fn notes(&self, stages: &[Stage], parameters: &[Parameter]) -> Vec<String> {
        let Some(first) = stages.iter().position(|stage| stage.r#type == "finetune") else { return Vec::new() };
        let trained = stages[..first].iter().any(|stage| stage.r#type == "lab");
        let frozen = stages[first].freeze().iter().any(|prefix| prefix == "lab");
        let note = match frozen {
            true => "warning: the lab layer is random and frozen: no stage of type `lab` trains it",
            false => "the lab layer is trained by fine-tuning: there is no stage of type `lab` before it",
        };
        let has_lab = parameters.iter().any(|parameter| parameter.path.starts_with("lab."));
        (has_lab && !trained).then(|| note.to_owned()).into_iter().collect()
    }
}

dualk_sdk::export_plugin! { recipe: DualkOptions }

#[cfg(test)]
mod tests;
