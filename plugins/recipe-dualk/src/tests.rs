use super::*;
use dualk_sdk::experiment::Manifest;
use dualk_sdk::recipe::completed;
use dualk_sdk::train::Algorithm;

const PATHS: [&str; 5] = ["nodes", "encoder", "code_fusion", "visit_fusion", "lab"];

/// The stages of a manifest with `compat`, completed.
fn stages(stages: &str) -> Result<Vec<Stage>> {
    let text = format!("name = \"test\"\n[data]\nparser = \"synthetic\"\n{stages}");
    completed(&Dualk, Manifest::parse(&text, &[]).unwrap().0.stage, true, &PATHS)
}

#[test]
fn it_is_a_sound_recipe() {
    dualk_sdk::testing::check_recipe(DualkOptions {});
}

#[test]
fn individual_pretraining_goes_on_where_joint_ended() {
    let joint = "[[stage]]\ntype = \"pretrain\"\nepochs = 12\n";
    let stages = stages(&format!("{joint}[[stage]]\ntype = \"pretrain\"\nmode = \"individual\"\n")).unwrap();
    assert_eq!([&stages[0], &stages[1]].map(Stage::carries_optimizer), [false, true]);
    assert_eq!((stages[1].lr(), stages[1].schedule()), (5e-4, Schedule::Constant));
    assert_eq!([stages[0].dropout_epochs, stages[1].dropout_epochs], [Some(1); 2]);
    assert_eq!(stages[1].freeze(), ["nodes", "encoder", "code_fusion", "visit_fusion"]);
}

#[test]
fn fine_tuning_freezes_the_lab_layer_where_one_was_trained() {
    let finetune = "[[stage]]\ntype = \"finetune\"\n";
    assert!(stages(finetune).unwrap()[0].freeze().is_empty());
    let stages = stages(&format!("[[stage]]\ntype = \"lab\"\n{finetune}")).unwrap();
    assert_eq!(stages[1].freeze(), ["lab"]);
    let rate = |epoch| stages[1].schedule().rate(stages[1].lr(), epoch);
    assert_eq!([30, 31, 40, 41].map(rate), [1e-3, 5e-4, 5e-4, 1e-4]);
    assert_eq!(stages[1].dropout_epochs, None);
}

#[test]
fn a_lab_layer_that_no_stage_trains_is_noted() {
    let parameter = |path: &str| Parameter { path: path.to_owned(), shape: vec![2], trains: true };
    let (with, without) = ([parameter("encoder.bias"), parameter("lab.fc.bias")], [parameter("encoder.bias")]);
    let finetune = "[[stage]]\ntype = \"finetune\"\n";
    let untrained = stages(finetune).unwrap();
    assert!(Dualk.notes(&untrained, &without).is_empty());
    assert!(Dualk.notes(&untrained, &with)[0].starts_with("the lab layer is trained by fine-tuning"));
    let frozen = stages(&format!("{finetune}freeze = [\"lab\"]\n")).unwrap();
    assert!(Dualk.notes(&frozen, &with)[0].starts_with("warning: the lab layer is random and frozen"));
    let trained = stages(&format!("[[stage]]\ntype = \"lab\"\n{finetune}")).unwrap();
    assert!(Dualk.notes(&trained, &with).is_empty());
}

#[test]
fn the_first_stage_has_nothing_to_carry_on() {
    let error = stages("[[stage]]\ntype = \"lab\"\ncarry_optimizer = true\n").unwrap_err();
    assert!(error.to_string().starts_with("`stage[0].carry_optimizer`"), "{error}");
}
#[test]
fn optimizers_are_named_or_written_out() {
    let stage = |keys: &str| stages(&format!("[[stage]]\ntype = \"lab\"\nepochs = 8\n{keys}"));
    let [plain, named, table] = ["", "optimizer = \"adamw\"", "optimizer = { type = \"sgd\", momentum = 0.9 }"]
        .map(|keys| stage(keys).unwrap()[0].optimizer());
    assert_eq!(plain, Algorithm::default());
    assert_eq!(named, Algorithm::Adamw { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 });
    assert_eq!(table, Algorithm::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 });
    let cosine = stage("schedule = { type = \"cosine\" }\nwarmup = 2\nlr_of = { lab = 0.01 }").unwrap();
    assert_eq!(cosine[0].schedule(), Schedule::Cosine { epochs: Some(8), least: 0.0 });
    assert_eq!((cosine[0].rates().warmup, cosine[0].rates().of("lab.fc.bias", 8)), (2, 0.0));
}

#[test]
fn another_optimizer_cannot_go_on() {
    let text =
        "[[stage]]\ntype = \"lab\"\n[[stage]]\ntype = \"pretrain\"\ncarry_optimizer = true\noptimizer = \"sgd\"\n";
    let error = stages(text).unwrap_err().to_string();
    assert!(error.contains("sgd cannot go on from adam"), "{error}");
}
