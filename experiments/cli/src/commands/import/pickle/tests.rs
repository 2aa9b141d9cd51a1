//! Pickles as Python writes them, and what nobody should read.

use super::*;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

fn read(bytes: &[u8]) -> Result<Pickle> {
    Pickle::read(bytes.to_vec(), Path::new("x.pkl"))
}

fn said(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn dicts_of_texts_and_numbers_are_read() {
    // pickle.dumps({"a": 1, "b": [2, -3, 2**40], "c": (None, True, 0.5)}, 4)
    let bytes =
        b"\x80\x04\x95,\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94(K\x02J\xfd\xff\xff\xff\
        \x8a\x06\x00\x00\x00\x00\x00\x01e\x8c\x01c\x94N\x88G?\xe0\x00\x00\x00\x00\x00\x00\x87\x94u.";
    let pickle = read(bytes).unwrap();
    let entries = pickle.dict(pickle.root()).unwrap();
    assert_eq!(entries.iter().map(|e| pickle.text(e.0).unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(pickle.node(entries[0].1), &Node::Int(1));
    let list = |id: Id| match pickle.node(id) {
        Node::List(items) => items.iter().map(|&i| pickle.node(i).clone()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(entries[1].1), [Node::Int(2), Node::Int(-3), Node::Int(1 << 40)]);
    assert_eq!(list(entries[2].1), [Node::Nothing, Node::Bool(true), Node::Float(0.5)]);
}

#[test]
fn shapes_have_eight_dimensions_at_most() {
    let tensor = |dimensions: usize| {
        let ones = b"K\x01".repeat(dimensions);
        [b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\0K\0(".as_slice(), &ones, b"t(", &ones, b"ttR."].concat()
    };
    let pickle = read(&tensor(8)).unwrap();
    assert!(matches!(pickle.node(pickle.root()), Node::Tensor { shape, .. } if shape.len() == 8));
    assert!(said(&tensor(9)).contains("9 dimensions, more than 8"));
}

#[test]
fn arrays_are_read() {
    // pickle.dumps(numpy.array([1, -2], dtype="float16"), 4), NumPy 2
    let bytes = b"\x80\x04\x95\x87\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\
        \x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02\x85\x94h\x03\
        \x8c\x05dtype\x94\x93\x94\x8c\x02f2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff\
        K\x00t\x94b\x89C\x04\x00<\x00\xc0\x94t\x94b.";
    let pickle = read(bytes).unwrap();
    assert_eq!(pickle.array(pickle.root()), Some((&[2][..], vec![1.0, -2.0])));
}

#[test]
fn nothing_is_run() {
    // os.system("…") as protocols 0, 2 and 4 have it.
    assert!(said(b"cos\nsystem\n(S'x'\ntR.").contains("`os.system`, which is not among what is known, at byte 0"));
    assert!(said(b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00x\x85R.").contains("at byte 2"));
    assert!(said(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.").contains("`posix.system`"));
    assert!(said(b"\x80\x02cbuiltins\neval\n.").contains("`builtins.eval`"));
}

#[test]
fn hostile_files_are_refused_and_cost_no_more_than_their_length() {
    for (bytes, says) in [
        (&b""[..], "ends too early"),
        (b"\x80\x04", "ends too early"),
        (b"\x80\x09.", "version 9"),
        (b".", "nothing on the stack"),
        (b"(.", "nothing on the stack"),
        (b"t.", "there is no mark"),
        (b"h\x07.", "never kept"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too early"),
        (b"X\xff\xff\xff\x7fabc.", "ends too early"),
        (b"\x8c\x01\xff.", "not UTF-8"),
        (b"K\x01K\x02s.", "nothing on the stack"),
        (b"K\x05K\x01K\x02s.", "no dict"),
        (b"K\x01)R.", "no function"),
        (b"K\x01K\x02b.", "has none"),
        (b"\xfe.", "instruction 0xfe"),
        (b"\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.", "64 bits"),
        (b"ccollections\nOrderedDict\nK\x01\x85R.", "with 1 arguments"),
    ] {
        let error = said(bytes);
        assert!(error.contains(says) && error.contains("x.pkl"), "{bytes:?}: {error}");
    }
    // A million tuples around each other, and 2^60 elements by doubling.
    let mut deep = b")".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 1_000_000));
    deep.push(b'.');
    drop(read(&deep).unwrap());
    let mut doubled = b"K\x01\x85".to_vec();
    (0..60).for_each(|_| doubled.extend(b"2\x86"));
    doubled.push(b'.');
    drop(read(&doubled).unwrap());
}

/// Of one tensor for six bytes, and of whatever else an instruction asks for again and again.
#[test]
fn what_is_repeated_takes_no_more_than_is_left() {
    let ones = b"K\x01".repeat(8);
    let shape =
        [b"ctorch._utils\n_rebuild_tensor_v2\nq\x00(K\x00K\x00(".as_slice(), &ones, b"t(", &ones, b"ttq\x01"].concat();
    let repeated = [&b"N"[..], b"2", b"(", b"h\x02", b"\x94", b"]", b"\x85", b"h\x00h\x01R0"];
    for instruction in repeated {
        let program = [shape.as_slice(), b"Nq\x02", &instruction.repeat(3000), b"N."].concat();
        let mut machine = Machine::new(&program);
        machine.left = 20_000;
        let error = machine.run().unwrap_err();
        assert!(error.contains("take more than 536870912 bytes"), "{instruction:?}: {error}");
        assert!(size_of_val(&machine.nodes[..]) + size_of_val(&machine.stack[..]) <= 20_000);
    }
}

#[test]
fn long_arguments_and_names_of_types_are_not_copied_by_every_call() {
    let many = [b"cnumpy.core.multiarray\n_reconstruct\nq\x00(".as_slice(), &b"N".repeat(100_000), b"tq\x01"].concat();
    let calls = [many.as_slice(), &b"h\x00h\x01R0".repeat(100_000), b"N."].concat();
    drop(read(&calls).unwrap());
    assert!(said(b"\x80\x02cnumpy\ndtype\nX\x11\x00\x00\x00ffffffffffffffff4\x85R.").contains("with a long one"));
}

#[test]
fn arrays_that_do_not_fit_their_bytes_are_none() {
    assert_eq!(decode("f4", true, &[0; 6]), None);
    assert_eq!(decode("O", true, &[0; 8]), None);
    assert_eq!(decode("f4", false, &1.5f32.to_be_bytes()), Some(vec![1.5]));
}

/// Instructions of the machine with arguments that may be anything.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let plain = select(&b"(0123]}).NJKMGX\x88\x89\x85\x86\x87\x8a\x8b\x8c\x8e\x90\x91\x93\x94qrhjtlduseabcRoibQPBCTUVSILFg\x81\x92p\x95"[..])
        .prop_map(|byte| vec![byte]);
    let small = (select(&b"KqhCU\x8c\x8a\x80"[..]), any::<u8>()).prop_map(|(byte, argument)| vec![byte, argument]);
    let long = (select(&b"JXBTrj\x8b\x8d\x8e\x95\x96"[..]), any::<u32>())
        .prop_map(|(byte, argument)| [&[byte][..], &argument.to_le_bytes()].concat());
    let named = select(vec![
        &b"ctorch._utils\n_rebuild_tensor_v2\n"[..],
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy\ndtype\n",
        b"cnumpy\nndarray\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nFloatStorage\n",
        b"cos\nsystem\n",
        b"X\x07\x00\x00\x00storage",
        b"X\x01\x00\x00\x000",
        b"\x8c\x02f4",
        b"\x8c\x01<",
    ]);
    prop_oneof![4 => plain, 3 => small, 1 => long, 3 => named.prop_map(<[u8]>::to_vec)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_is_carried_out_or_refused(program in vec(instruction(), 0..40)) {
        let program = [b"\x80\x04", program.concat().as_slice(), b"."].concat();
        if let Err(error) = read(&program) {
            prop_assert_eq!(error.exit_code(), 2);
        }
    }
}
