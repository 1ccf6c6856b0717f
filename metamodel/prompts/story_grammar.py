"""Words and sentences of the children's stories; every template takes any of the words."""

from __future__ import annotations

# Name, pronoun, possessive.
HEROES = (
    ("Tom", "he", "his"),
    ("Lily", "she", "her"),
    ("Ben", "he", "his"),
    ("Mia", "she", "her"),
    ("Max", "he", "his"),
    ("Anna", "she", "her"),
    ("Sam", "he", "his"),
    ("Rosa", "she", "her"),
    ("Jack", "he", "his"),
    ("Ella", "she", "her"),
    ("Leo", "he", "his"),
    ("Ruby", "she", "her"),
    ("Finn", "he", "his"),
    ("Nora", "she", "her"),
    ("Oscar", "he", "his"),
    ("Daisy", "she", "her"),
)
ANIMALS = ("fox", "bear", "cat", "dog", "rabbit", "mouse", "duck", "frog", "pony", "goat", "hen", "lamb")
OTHER_ANIMALS = ("wise owl", "tall heron", "small snail", "kind old toad", "gray goose", "sly crow", "proud swan")
PLACES = (
    "the forest",
    "the garden",
    "the farm",
    "the river",
    "the hill",
    "the beach",
    "the barn",
    "the old mill",
    "the market",
    "the park",
)
THINGS = (
    "red ball",
    "golden key",
    "blue kite",
    "warm hat",
    "honey cake",
    "silver bell",
    "little boat",
    "magic stone",
    "big drum",
    "toy train",
    "green scarf",
    "shiny coin",
)
ADJECTIVES = ("little", "brave", "sleepy", "clever", "shy", "curious", "merry", "hungry", "quiet", "gentle")
FEELINGS = ("happy", "sad", "proud", "scared", "glad", "tired", "excited", "surprised")
REFRAIN_VERBS = ("ran", "looked", "dug", "swam", "sang", "walked", "jumped", "waited", "called", "laughed")

OPENINGS = (
    "Once upon a time there was a {adjective} {animal} named {name}.",
    "One day {name} the {animal} went to {place}.",
    "{name} was a {adjective} {animal} who lived near {place}.",
    "There once was a {animal} named {name}, and {he} was very {adjective}.",
    "In a house by {place} lived {name}, a {adjective} {animal}.",
    "It was a sunny day, and {name} the {animal} woke up early.",
)
WISHES = (
    "{He} wanted to find a {thing}.",
    "More than anything, {he} wished for a {thing}.",
    "{name} had lost {his} {thing} and felt sad.",
    "{He} liked to play with {his} {thing} all day.",
    "Every night {he} dreamed of a {thing}.",
    "{name} was looking for a {thing} to give to {friend}.",
)
JOURNEYS = (
    "So {name} went to {place} to look for it.",
    "{He} packed some bread and walked to {place}.",
    "{He} looked under the bed, behind the door and near {place}.",
    "With {friend}, {he} set out for {place}.",
)
REFRAINS = (
    "{He} {refrain}.",
    "{name} {refrain} until the sun went down.",
    "They {refrain}, but nothing happened.",
)
MEETINGS = (
    "On the way {he} met a {other}.",
    "There {he} saw {friend} and a {other}.",
    "A {other} sat on a stone and looked at {name}.",
    "Then a {other} came out of the grass.",
)
DIALOGUES = (
    '"Can you help me?" asked {name}.',
    '"Do not be {feeling}," said {friend}, "I will help you."',
    '"No, no, no!" said {name}, and {he} began to cry.',
    '"I saw a {thing} near {place}," said {friend}.',
    '{friend} said, "Let us go to {place} together."',
)
EVENTS = (JOURNEYS, REFRAINS, MEETINGS, DIALOGUES)
TURNS = (
    "At last {name} found the {thing} in {place}.",
    "Then {friend} came with the {thing} in a bag.",
    "Suddenly it began to rain, and {name} was {feeling}.",
    "But the {thing} was gone, and {he} felt {feeling}.",
    "{name} and {friend} shared the {thing}.",
)
ENDINGS = (
    "{name} was very {feeling} and said thank you.",
    "They went home and slept and slept and slept.",
    "From that day on, {name} and {friend} were best friends.",
    "And they all lived happily ever after.",
    "{name} hugged {friend} and smiled.",
    "That night {name} was {feeling} and went to bed early.",
)
GISTS = (
    "{name} the {animal} looks for a {thing}.",
    "A {adjective} {animal} wants a {thing}.",
    "{name} and {friend} look for a {thing}.",
)
