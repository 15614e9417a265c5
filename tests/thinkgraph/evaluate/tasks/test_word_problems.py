"""Word problems."""

from thinkgraph.evaluate.tasks.word_problems import word_problems


def test_the_same_seed_makes_the_same_problems_and_no_problem_twice():
    problems = word_problems(100, seed=3)
    assert problems == word_problems(100, seed=3)
    assert problems[:10] == word_problems(10, seed=3)
    assert len({problem.question for problem in problems}) == 100


def test_more_than_sixty_problems_of_four_kinds_have_whole_answers():
    assert all(int(problem.answer) > 0 for problem in word_problems(64))
