"""Terms of the field in words that need no background; shown on hover."""

from __future__ import annotations

TERMS: dict[str, str] = {
    "recipe": "A file that says what to train, on what, how, and how the result is judged.",
    "base": "The ready-made language model that the training starts from.",
    "parameters": "The numbers a model consists of. Those of the adapter are trained.",
    "adapter": "The small set of new weights that training adds to the base.",
    "lora": "Trains a thin layer beside the model's own weights instead of all of them.",
    "rank": "How much an adapter can learn: its width. More needs more memory and more data.",
    "learning_rate": "How far each step moves the weights. High forgets, low learns little.",
    "epoch": "One pass over all training examples.",
    "step": "One update of the weights, after one batch of examples.",
    "loss": "How surprised the model is by the right answers. Lower is better.",
    "gradient_norm": "How strongly a batch pulls at the weights. Sudden peaks mean trouble.",
    "token": "A piece of a word: what the model reads and writes. About four letters of English.",
    "max_length": "Longer examples are cut off after so many tokens.",
    "held_out": "Examples that are not trained on, kept to judge the result.",
    "leakage": "The same example in training and in the test: the test then measures memory.",
    "contradiction": "Two examples that answer the same question differently.",
    "interval": "The range in which the true value lies with 95% confidence.",
    "gate": "A condition that the tuned model must meet, as in: better than the base.",
    "checkpoint": "A saved state of the training, from which it can go on.",
    "rouge": "How many words and runs of words an answer shares with the reference.",
    "perplexity": "Among how many words the model hesitates, on average. Lower is better.",
    "template": "How the columns of a row become the conversation that the model sees.",
    "data_format": "The shape of a row: which columns hold the question, the answer, the turns.",
    "column_role": "The part that a column plays: question, answer, whole conversation, ...",
    "masked": "The model reads this text but does not learn to write it.",
    "refused": "A line that cannot be used, as one cut off in the middle. It is left out.",
    "near_duplicate": "Rows that say nearly the same. They count double in training.",
    "group": "Rows that belong together, as clauses of one contract: they stay on one side.",
    "tuned": "What the training made of the base: the model that answers as your examples do.",
    "reference": "The answer that a good model would give. Answers are compared with it.",
    "eval_set": "Questions with expected answers, kept to judge later models.",
    "system_message": "What the model is told before each question: who it is, how it answers.",
    "temperature": "0 always takes the likeliest next word. Higher draws by chance, more freely.",
    "top_p": "Draws only among the likeliest words that together have this chance.",
    "seed": "Where drawing by chance begins: the same seed and question give the same answer.",
    "run": "One training of a recipe, with its results. Each has a folder of its own.",
    "trained_tokens": "Only these tokens are learnt from; the others are context.",
    "qlora": "LoRA beside a base that is held in four bits a weight: it needs far less memory.",
    "full": "Trains all weights of the model: the most memory, and it forgets the most.",
    "optimizer": "The rule of each step. It keeps two running numbers for every trained weight.",
    "retrieval": "Passages of your documents are found and handed to the model with a question.",
    "prompt": "What is said to the model: the instruction, examples, and the question.",
}


def term(name: str) -> str:
    """The explanation, for `help=`. Raises KeyError for a term that is not explained."""
    return TERMS[name]
