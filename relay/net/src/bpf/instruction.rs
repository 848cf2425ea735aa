//! A small assembler for eBPF (RFC 9669): the instructions that our programs use, and labels.

/// One instruction as the kernel reads it (RFC 9669 section 3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    /// The source in the upper half, the destination in the lower one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

// RFC 9669 section 3: the lower three bits are the class, the others depend on it.
const LOAD: u8 = 0x61;
const LOAD_LONG_IMMEDIATE: u8 = 0x18;
const STORE: u8 = 0x63;
const STORE_IMMEDIATE: u8 = 0x62;
const ATOMIC_LONG: u8 = 0xdb;
/// Arithmetic on all 64 bits with an immediate; [`FROM_REGISTER`] makes it one with a register.
const ARITHMETIC: u8 = 0x07;
const FROM_REGISTER: u8 = 0x08;
const TO_BIG_ENDIAN: u8 = 0xdc;
const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// The immediate of a long load is the descriptor of a map, and becomes its address (RFC 9669 section 5.4).
const MAP_BY_DESCRIPTOR: u8 = 1;

/// A register. `R0` holds results, `R1` to `R5` arguments, which a call spoils; `R6` to `R9` keep; `R10` is the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How much a load or a store moves: the bits that tell it from one of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Width {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
    Long = 0x18,
}

/// What arithmetic does (RFC 9669 section 4.1), unsigned unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Operation {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Divide = 0x30,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Xor = 0xa0,
    ShiftRightSigned = 0xc0,
}

/// When a conditional jump is taken (RFC 9669 section 4.3), on all 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Test {
    Equal = 0x15,
    Above = 0x25,
    Unequal = 0x55,
    Below = 0xa5,
}

/// A program that is being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    labels: Vec<(&'static str, usize)>,
    jumps: Vec<(usize, &'static str)>,
}

impl Assembler {
    /// `to = *(u32 *)(from + offset)`
    pub(super) fn load(&mut self, to: Register, from: Register, offset: i16) {
        self.load_as(Width::Word, to, from, offset);
    }

    /// `*(u32 *)(to + offset) = from`
    pub(super) fn store(&mut self, to: Register, offset: i16, from: Register) {
        self.store_as(Width::Word, to, offset, from);
    }

    /// `to = *(from + offset)`, as wide as it says; the bits above are zero.
    pub(super) fn load_as(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.push(LOAD | width as u8, to, from as u8, offset, 0);
    }

    /// `*(to + offset) = from`, as wide as it says.
    pub(super) fn store_as(&mut self, width: Width, to: Register, offset: i16, from: Register) {
        self.push(STORE | width as u8, to, from as u8, offset, 0);
    }

    /// `*(u64 *)(to + offset) += from`, whoever does the same on another processor (RFC 9669 section 5.3).
    pub(super) fn add_to(&mut self, to: Register, offset: i16, from: Register) {
        self.push(ATOMIC_LONG, to, from as u8, offset, 0);
    }

    /// `to = to OPERATION value`; the value's sign is extended.
    pub(super) fn change(&mut self, operation: Operation, to: Register, value: i32) {
        self.push(ARITHMETIC | operation as u8, to, 0, 0, value);
    }

    /// `to = to OPERATION from`
    pub(super) fn change_by(&mut self, operation: Operation, to: Register, from: Register) {
        let code = ARITHMETIC | FROM_REGISTER | operation as u8;
        self.push(code, to, from as u8, 0, 0);
    }

    /// The lower bits of `to` from the machine's order of bytes to that of the network, or back; those above become zero.
    pub(super) fn swap_to_network(&mut self, to: Register, bits: i32) {
        self.push(TO_BIG_ENDIAN, to, 0, 0, bits);
    }

    /// `*(u32 *)(to + offset) = value`
    pub(super) fn store_value(&mut self, to: Register, offset: i16, value: u32) {
        self.push(STORE_IMMEDIATE, to, 0, offset, value.cast_signed());
    }

    /// `to = from`
    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(MOVE, to, from as u8, 0, 0);
    }

    /// `to = value`
    pub(super) fn set(&mut self, to: Register, value: i32) {
        self.push(MOVE_IMMEDIATE, to, 0, 0, value);
    }

    /// `to = R10 + offset`: the address of a place on the stack.
    pub(super) fn stack_address(&mut self, to: Register, offset: i32) {
        self.copy(to, Register::R10);
        self.change(Operation::Add, to, offset);
    }

    /// `to = ` the map behind a descriptor.
    pub(super) fn map(&mut self, to: Register, descriptor: i32) {
        self.push(LOAD_LONG_IMMEDIATE, to, MAP_BY_DESCRIPTOR, 0, descriptor);
        // The upper half of the 64 bits.
        self.push_raw(0, 0, 0, 0);
    }

    /// `R0 =` what a function of the kernel gives for `R1` and so on.
    pub(super) fn call(&mut self, function: i32) {
        self.push_raw(CALL, 0, 0, function);
    }

    /// Goes on at `label`.
    pub(super) fn jump(&mut self, label: &'static str) {
        self.jumps.push((self.instructions.len(), label));
        self.push_raw(JUMP, 0, 0, 0);
    }

    /// Goes on at `label` if the register has this value.
    pub(super) fn jump_if_equal(&mut self, register: Register, value: i32, label: &'static str) {
        self.jump_if(Test::Equal, register, value, label);
    }

    /// Goes on at `label` if the register has another value.
    pub(super) fn jump_unless_equal(
        &mut self,
        register: Register,
        value: i32,
        label: &'static str,
    ) {
        self.jump_if(Test::Unequal, register, value, label);
    }

    /// Goes on at `label` if the register stands so to the value.
    pub(super) fn jump_if(
        &mut self,
        test: Test,
        register: Register,
        value: i32,
        label: &'static str,
    ) {
        self.jumps.push((self.instructions.len(), label));
        self.push(test as u8, register, 0, 0, value);
    }

    /// Goes on at `label` if the register stands so to the other one.
    pub(super) fn jump_if_to(
        &mut self,
        test: Test,
        register: Register,
        other: Register,
        label: &'static str,
    ) {
        self.jumps.push((self.instructions.len(), label));
        let code = test as u8 | FROM_REGISTER;
        self.push(code, register, other as u8, 0, 0);
    }

    /// Names the next instruction.
    pub(super) fn label(&mut self, label: &'static str) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Ends the program with `R0` as its result.
    pub(super) fn exit(&mut self) {
        self.push_raw(EXIT, 0, 0, 0);
    }

    /// The program, its jumps resolved.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (from, label) in self.jumps {
            let target = self.labels.iter().find(|(name, _)| *name == label);
            // unwrap: programs are constants of ours, and each of them is loaded or at least assembled in a test.
            let (_, target) = target.expect("a jump to a label of the program");
            let distance = *target as isize - from as isize - 1;
            self.instructions[from].offset = distance as i16;
        }
        self.instructions
    }

    fn push(&mut self, code: u8, to: Register, from: u8, offset: i16, immediate: i32) {
        self.push_raw(code, from << 4 | to as u8, offset, immediate);
    }

    fn push_raw(&mut self, code: u8, registers: u8, offset: i16, immediate: i32) {
        // RFC 9669 section 3.1 puts the destination into the lower half on little-endian machines and into the upper one on others.
        let registers = if cfg!(target_endian = "big") {
            registers.rotate_left(4)
        } else {
            registers
        };
        self.instructions.push(Instruction {
            code,
            registers,
            offset,
            immediate,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(instruction: Instruction) -> [u8; 8] {
        let [a, b] = instruction.offset.to_le_bytes();
        let [c, d, e, f] = instruction.immediate.to_le_bytes();
        [instruction.code, instruction.registers, a, b, c, d, e, f]
    }

    #[test]
    fn arithmetic_is_that_of_the_specification() {
        use Register::{R2, R3, R6, R10};
        let mut program = Assembler::default();
        program.load_as(Width::Byte, R2, R10, -15);
        program.load_as(Width::Half, R2, R6, 4);
        program.store_as(Width::Long, R10, -8, R3);
        program.add_to(R6, 8, R3);
        program.change(Operation::And, R2, 0x7f);
        program.change_by(Operation::Subtract, R2, R3);
        program.change(Operation::ShiftRightSigned, R3, 32);
        program.change_by(Operation::Divide, R2, R3);
        program.swap_to_network(R2, 16);
        program.label("again");
        program.jump_if(Test::Above, R2, 1000, "again");
        program.jump_if_to(Test::Below, R2, R3, "again");
        program.jump_if_to(Test::Unequal, R2, R3, "again");
        let program: Vec<[u8; 8]> = program.finish().into_iter().map(bytes).collect();
        // RFC 9669, the tables of sections 3 to 5.
        assert_eq!(
            program,
            [
                [0x71, 0xa2, 0xf1, 0xff, 0x00, 0x00, 0x00, 0x00],
                [0x69, 0x62, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0x7b, 0x3a, 0xf8, 0xff, 0x00, 0x00, 0x00, 0x00],
                [0xdb, 0x36, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0x57, 0x02, 0x00, 0x00, 0x7f, 0x00, 0x00, 0x00],
                [0x1f, 0x32, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0xc7, 0x03, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00],
                [0x3f, 0x32, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0xdc, 0x02, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00],
                [0x25, 0x02, 0xff, 0xff, 0xe8, 0x03, 0x00, 0x00],
                [0xad, 0x32, 0xfe, 0xff, 0x00, 0x00, 0x00, 0x00],
                [0x5d, 0x32, 0xfd, 0xff, 0x00, 0x00, 0x00, 0x00],
            ]
        );
    }

    #[test]
    fn instructions_are_those_of_the_specification() {
        let mut program = Assembler::default();
        program.load(Register::R2, Register::R6, 12);
        program.jump_unless_equal(Register::R2, 17, "end");
        program.map(Register::R1, 5);
        program.store_value(Register::R10, -4, 0xffff);
        program.jump("end");
        program.call(1);
        program.label("end");
        program.set(Register::R0, 1);
        program.exit();
        let program: Vec<[u8; 8]> = program.finish().into_iter().map(bytes).collect();
        // As LLVM 14 assembles them, but for the store of a value, which its assembler does not know.
        assert_eq!(
            program,
            [
                [0x61, 0x62, 0x0c, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0x55, 0x02, 0x05, 0x00, 0x11, 0x00, 0x00, 0x00],
                [0x18, 0x11, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00],
                [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0x62, 0x0a, 0xfc, 0xff, 0xff, 0xff, 0x00, 0x00],
                [0x05, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00],
                [0x85, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00],
                [0xb7, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00],
                [0x95, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
            ]
        );
    }
}
