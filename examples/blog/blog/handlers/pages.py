"""What visitors see."""

from blog.forms import CommentForm
from blog.handlers.base import Page
from blog.models import Comment, Post
from torngas_aio.exception import Http404


class Front(Page):
    """The newest posts, five a page."""

    async def get(self) -> None:
        found = await Post.Q.order_by(Post.written.desc(), Post.id.desc()).paginate(self.page_number(), per_page=5)
        if found is None:
            raise Http404("There is no page %d", self.page_number())
        await self.render("front.html", page=found)


class Read(Page):
    """One post, and what is said about it."""

    async def get(self, number: str) -> None:
        await self.show(await self.post_or_404(number), await self.load_form(CommentForm))

    async def post(self, number: str) -> None:
        post = await self.post_or_404(number)
        form = await self.load_form(CommentForm)
        if form.errors:
            self.set_status(400)
            await self.show(post, form)
            return
        Comment.session.add(Comment(post_id=post.id, name=form.name.data, text=form.text.data))
        self.flash("Thank you for your comment.", "success")
        await self.redirect(self.reverse_url("Post", post.id), status=303)

    async def show(self, post: Post, form: CommentForm) -> None:
        comments = await Comment.Q.filter(Comment.post_id == post.id).order_by(Comment.id).all()
        await self.render("post.html", post=post, comments=comments, form=form)

    async def post_or_404(self, number: str) -> Post:
        post: Post | None = await Post.Q.get(int(number)) if len(number) < 10 else None
        if post is None:
            raise Http404("Post %s", number)
        return post
